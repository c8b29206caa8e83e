import { defineConfig } from 'vitest/config'
import workspace from '../../vitest.config.ts'

const name = process.env['COUNTERSIGN_MUTATION_PACKAGE'] ?? 'core'

/** The tests of one package, in the copy of the repository in which Stryker changes its source. */
export default defineConfig({
  resolve: { ...workspace.resolve },
  root: new URL('../..', import.meta.url).pathname,
  test: {
    include: [`packages/${name}/test/**/*.test.ts`, `test/${name}/**/*.test.ts`],
    exclude: [
      '**/node_modules/**',
      // These take long, or run the built packages, which are not changed.
      'packages/core/test/{jti,module-graph,rotating-exit}.test.ts',
      'test/oauth/process-exit.test.ts',
      'packages/uri/test/file-of-another-user.test.ts',
    ],
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
})
