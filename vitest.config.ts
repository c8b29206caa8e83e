import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { workerOptions } from './scripts/watchdog.mjs'
import { sdkEntry } from './test/support/sdk.js'

const sdks = ['@aws-sdk/client-kms', '@google-cloud/kms', '@azure/keyvault-keys']

const packages = fileURLToPath(new URL('./packages/', import.meta.url))

/** The projects that are not the unit tests, in the order in which they run: the lanes of `npm test`. */
const lanes = {
  wycheproof: 'test/wycheproof/**/*.test.ts',
  pkcs11: 'test/pkcs11/**/*.test.ts',
  ministack: 'test/ministack/**/*.test.ts',
  conformance: 'test/conformance/**/*.test.ts',
  hosts: 'test/hosts/**/*.test.ts',
  languages: 'test/agent/languages.test.ts',
  consumer: 'test/packaging/consumer.test.mjs',
  docs: 'test/packaging/docs.test.mjs',
  demo: 'test/lanes/demo.test.ts',
  examples: 'test/{lanes/examples,examples/*}.test.ts',
  'sdk-versions': 'test/lanes/sdk-versions.test.ts',
  matrix: 'test/lanes/matrix.test.ts',
}
const check = 'test/lanes/check.test.ts'

/** Each project waits for the ones before it: some measure time. */
const project = (name: string, include: string[], exclude: string[], groupOrder: number) => ({
  extends: true as const,
  test: { name, include, exclude, sequence: { groupOrder } },
})

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
    testTimeout: 30_000,
    hookTimeout: 30_000,
    maxWorkers: 2,
    execArgv: workerOptions,
    projects: [
      project('check', [check], [], 0),
      project(
        'unit',
        ['packages/*/test/**/*.test.ts', 'test/**/*.test.ts'],
        ['**/node_modules/**', check, ...Object.values(lanes)],
        1,
      ),
      ...Object.entries(lanes).map(([name, files], i) => project(name, [files], [], i + 2)),
    ],
  },
})
