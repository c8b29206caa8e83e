import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

/** The entry point of another release of Google's SDK than the workspace's. */
const { COUNTERSIGN_GCP_KMS_SDK: gcpKmsSdk } = process.env

const packages = fileURLToPath(new URL('./packages/', import.meta.url))

export default defineConfig({
  resolve: {
    alias: [
      // Built, since it starts a process of its own from its files.
      {
        find: /^@countersign\/pkcs11$/,
        replacement: `${packages}pkcs11/dist/index.js`,
      },
      ...(gcpKmsSdk ? [{ find: /^@google-cloud\/kms$/, replacement: gcpKmsSdk }] : []),
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
