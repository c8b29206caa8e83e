import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { cliReference, referenceFile } from '../../scripts/lib/cli-reference.mjs'
import { root } from '../../scripts/lib/root.mjs'

it('docs/cli.md says what the help of the command says; "npm run docs" writes it anew', async () => {
  expect(readFileSync(join(root, referenceFile), 'utf8')).toBe(await cliReference())
})
