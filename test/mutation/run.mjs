// @ts-check
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Stryker } from '@stryker-mutator/core'

const packages = ['core', 'oauth', 'mcp', 'uri']
const target = 92
const root = fileURLToPath(new URL('../..', import.meta.url))

const usage = `Usage: npm run mutation -- [options]

Changes the source of a package in one place, runs its tests, and expects one to fail. Does
so for a sample of all such changes, and prints the share that was noticed, and where the
others are.

  --only NAME      one of: ${packages.join(', ')}; may be repeated
  --every N        takes about one mutant in N; 40 by default
  --seed TEXT      chooses another sample; 1 by default
  --all            takes all mutants, which takes hours
  --concurrency N  runs the tests of N mutants at once; 2 by default
  --help
`

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    every: { type: 'string', default: '40' },
    seed: { type: 'string', default: '1' },
    all: { type: 'boolean', default: false },
    concurrency: { type: 'string', default: '2' },
    help: { type: 'boolean', default: false },
  },
})
const names = values.only ?? packages
if (
  values.help ||
  names.some((name) => !packages.includes(name)) ||
  !/^[1-9]\d*$/.test(values.every) ||
  !/^[1-9]\d*$/.test(values.concurrency)
) {
  process.stdout.write(usage)
  process.exit(values.help ? 0 : 2)
}

process.env['COUNTERSIGN_MUTATION_SEED'] = values.seed
process.env['COUNTERSIGN_MUTATION_EVERY'] = values.all ? '1' : values.every
for (const name of names) print(await mutate(name))

/**
 * Mutates one package, and describes what its tests did not notice.
 *
 * @param {string} name
 */
async function mutate(name) {
  process.env['COUNTERSIGN_MUTATION_PACKAGE'] = name
  const start = performance.now()
  const stryker = new Stryker({
    mutate: [`packages/${name}/src/**/*.ts`],
    plugins: [
      fileURLToPath(import.meta.resolve('@stryker-mutator/vitest-runner')),
      fileURLToPath(new URL('./sample.mjs', import.meta.url)),
    ],
    // Stryker would read it with the API of TypeScript 6.
    tsconfigFile: 'none',
    testRunner: 'vitest',
    vitest: { configFile: 'test/mutation/vitest.config.ts', related: false },
    checkers: ['sample'],
    coverageAnalysis: 'perTest',
    ignoreStatic: true,
    concurrency: Number(values.concurrency),
    timeoutMS: 20_000,
    dryRunTimeoutMinutes: 60,
    tempDirName: '.cache/stryker',
    ignorePatterns: ['.cache'],
    reporters: [],
    allowEmpty: true,
    logLevel: /** @type {any} */ ('error'),
  })
  const results = await stryker.runMutationTest()
  /** @param {readonly string[]} statuses */
  const having = (...statuses) => results.filter(({ status }) => statuses.includes(status))
  const noticed = having('Killed', 'Timeout').length
  const survivors = having('Survived', 'NoCoverage')
  const total = noticed + survivors.length
  const score = total === 0 ? 100 : (100 * noticed) / total
  const minutes = ((performance.now() - start) / 60_000).toFixed(1)
  const verdict = score >= target ? 'met' : 'missed'
  return [
    `${name}: ${score.toFixed(1)} % of ${total} mutants noticed; target ${target} % ${verdict}; ${minutes} min`,
    ...survivors.map(({ fileName, location, mutatorName, replacement, status }) => {
      const { line, column } = location.start
      const place = `${relative(root, fileName)}:${line}:${column}`
      const shown = replacement.replaceAll(/\s+/g, ' ').slice(0, 80)
      return `  ${place} ${mutatorName} → ${shown}${status === 'NoCoverage' ? ' (no test runs it)' : ''}`
    }),
  ].join('\n')
}

/** @param {string} text */
function print(text) {
  process.stdout.write(`${text}\n`)
}
