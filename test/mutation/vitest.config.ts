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
      // Randomness of 100,000 assertions, processes, and the text of the documentation: slow, and not about the logic.
      'packages/core/test/{jti,module-graph,rotating-exit}.test.ts',
      'test/oauth/process-exit.test.ts',
    ],
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
})
