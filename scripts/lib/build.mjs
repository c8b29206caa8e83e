import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from './failure.mjs'
import { saySlow } from './terminal.mjs'
import { tool } from './tool.mjs'
import { packages } from './workspace.mjs'

/**
 * Removes what an earlier build made from a source that is gone, so that it is not published.
 *
 * @param {string} path a package's folder
 */
function prune(path) {
  const dist = join(path, 'dist')
  if (!existsSync(dist)) return
  for (const file of /** @type {string[]} */ (readdirSync(dist, { recursive: true }))) {
    const stem = /^(.*?)(?:\.d\.ts|\.js)(?:\.map)?$/.exec(file)?.[1]
    if (stem !== undefined && !existsSync(join(path, 'src', `${stem}.ts`))) rmSync(join(dist, file))
  }
}

/** Compiles all packages, as far as something changed. */
export async function build() {
  const paths = packages()
    .map(({ path }) => path)
    .filter((path) => existsSync(join(path, 'tsconfig.json')))
  for (const path of paths) prune(path)
  const { code, output } = await saySlow('Compiling the packages', () =>
    tool('tsc', ['-b', '--pretty', 'false', ...paths], { output: 'capture' }),
  )
  if (code !== 0) throw new Failure(`${output}\nThe packages do not compile.`)
}
