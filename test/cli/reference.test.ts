import { expect, it } from 'vitest'
import { cliReference } from './reference.js'

it('docs/cli.md has the help of the command; "npm run docs" writes it again', async () => {
  await expect(await cliReference()).toMatchFileSnapshot('../../docs/cli.md')
})

it('an example of the help can be pasted into bash and zsh: what they would expand is quoted', async () => {
  const reference = await cliReference()
  const examples = reference.split('\n').filter((line) => /^ {2}(?:source|countersign) /.test(line))
  expect(examples.length).toBeGreaterThan(20)
  const outsideQuotes = examples.map((line) => line.replace(/'[^']*'|<\(|\)/g, ''))
  expect(outsideQuotes.filter((line) => /[?*[\]{};&$`]/.test(line))).toEqual([])
})
