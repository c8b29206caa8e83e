import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cliReference, referenceFile } from '../lib/cli-reference.mjs'
import { prepare } from '../lib/prepare.mjs'
import { root } from '../lib/root.mjs'
import { say } from '../lib/terminal.mjs'

/** `npm run docs`: writes those pages that are made from the code. */
export async function main() {
  await prepare()
  writeFileSync(join(root, referenceFile), await cliReference())
  say(`${referenceFile} is written.`)
  return 0
}
