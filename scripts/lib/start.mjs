import { nodeComplaint } from './node-version.mjs'

/**
 * Runs a command: refuses an old Node with a sentence, turns a `Failure` into a sentence and
 * everything else into a stack, and sets the exit code.
 *
 * @param {() => Promise<{ main: (args: string[]) => Promise<number> }>} load
 */
export function start(load) {
  const complaint = nodeComplaint()
  if (complaint !== undefined) {
    console.error(complaint)
    process.exitCode = 1
    return
  }
  load()
    .then((command) => command.main(process.argv.slice(2)))
    .then(
      (code) => {
        process.exitCode = code
      },
      (error) => {
        console.error(error.name === 'Failure' ? error.message : error)
        process.exitCode = 1
      },
    )
}
