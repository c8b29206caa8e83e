// @ts-check
import { createHash } from 'node:crypto'

/**
 * A checker of Stryker: it excludes the mutants that are not in the sample, by a result that does not count.
 *
 * @see https://stryker-mutator.io/docs/stryker-js/plugins/
 */
function sample() {
  const { COUNTERSIGN_MUTATION_SEED: seed = '', COUNTERSIGN_MUTATION_EVERY: every = '1' } =
    process.env
  /** @param {{ fileName: string, location: object, mutatorName: string, replacement: string }} mutant */
  const isChosen = ({ fileName, location, mutatorName, replacement }) => {
    // The file is in a temporary copy of the repository.
    const file = fileName.slice(fileName.lastIndexOf('/packages/'))
    const text = JSON.stringify([seed, file, location, mutatorName, replacement])
    return createHash('sha256').update(text).digest().readUInt32BE() % Number(every) === 0
  }
  return {
    async init() {},
    /** @param {(Parameters<typeof isChosen>[0] & { id: string })[]} mutants */
    async check(mutants) {
      return Object.fromEntries(
        mutants.map((mutant) => [
          mutant.id,
          isChosen(mutant)
            ? { status: 'passed' }
            : { status: 'compileError', reason: 'not in the sample' },
        ]),
      )
    },
  }
}

export const strykerPlugins = [{ kind: 'Checker', name: 'sample', factory: sample }]
