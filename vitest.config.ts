import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { sdkEntry } from './test/support/sdk.js'

const sdks = ['@aws-sdk/client-kms', '@google-cloud/kms', '@azure/keyvault-keys']

const packages = fileURLToPath(new URL('./packages/', import.meta.url))

export default defineConfig({
  resolve: {
    alias: [
      // Built, since it starts a process of its own from its files.
      {
        find: /^@countersign\/pkcs11$/,
        replacement: `${packages}pkcs11/dist/index.js`,
      },
      ...sdks.flatMap((name) => {
        const replacement = sdkEntry(name)
        return replacement === undefined ? [] : [{ find: new RegExp(`^${name}$`), replacement }]
      }),
      { find: /^@countersign\/([^/]+)$/, replacement: `${packages}$1/src/index.ts` },
      { find: /^@countersign\/([^/]+)\/([^/]+)$/, replacement: `${packages}$1/src/$2.ts` },
    ],
  },
  test: {
    include: ['packages/*/test/**/*.test.ts', 'test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    maxWorkers: 2,
  },
})
