import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { cliReference, referenceFile } from '../../scripts/lib/cli-reference.mjs'
import { root } from '../../scripts/lib/root.mjs'

it('docs/cli.md says what the help of the command says; "npm run docs" writes it anew', async () => {
  expect(readFileSync(join(root, referenceFile), 'utf8')).toBe(await cliReference())
})

it('an example of the help can be pasted into bash and zsh: what they would expand is quoted', async () => {
  const reference = await cliReference()
  const examples = reference.split('\n').filter((line) => /^ {2}(?:source|countersign) /.test(line))
  expect(examples.length).toBeGreaterThan(20)
  const outsideQuotes = examples.map((line) => line.replace(/'[^']*'|<\(|\)/g, ''))
  expect(outsideQuotes.filter((line) => /[?*[\]{};&$`]/.test(line))).toEqual([])
})
