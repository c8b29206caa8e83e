// `node scripts/run.mjs COMMAND …`: what `npm run COMMAND` runs. Needs nothing installed.
import { readFileSync } from 'node:fs'
import { unsupportedNode } from './node-version.mjs'

const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
const problem = unsupportedNode(process.versions.node, manifest.engines.node)

async function main() {
  const [command = '', ...args] = process.argv.slice(2)
  const { Failure, prepare } = await import('./prepare.mjs')
  try {
    if (process.env['COUNTERSIGN_PREPARED'] !== '1') await prepare()
    const { commands } = await import('./commands.mjs')
    process.exitCode = await commands[/** @type {keyof typeof commands} */ (command)](args)
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    console.error(error.message)
    process.exitCode = 1
    // The same last line as after tests, for programs that read it.
    if (command === 'test') console.log('\n0 passed, 1 failed, 0 skipped')
  }
}

if (problem === undefined) await main()
else {
  console.error(problem)
  process.exitCode = 1
}
