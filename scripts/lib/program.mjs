import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './child.mjs'
import { Failure } from './failure.mjs'
import { prepare, prepared } from './prepare.mjs'
import { root } from './root.mjs'

/**
 * Prepares the workspace and runs one of its programs in the foreground.
 *
 * @param {string} file relative to the repository
 * @param {readonly string[]} args
 * @returns {Promise<number>} the program's exit code
 */
export async function runProgram(file, args) {
  const program = join(root, file)
  await prepare()
  if (!existsSync(program)) throw new Failure(`${file} does not exist.`)
  const { code } = await run(process.execPath, [program, ...args], { env: prepared })
  return code
}
