import { expect, test } from 'vitest'
import { docstringBlocks, markdownBlocks } from './code-blocks.ts'
import { programsOf } from './programs.ts'
import { typeCheck } from './type-check.ts'

const page = [
  '# Title',
  '```ts',
  "import { createHash } from 'node:crypto'",
  "const hash = createHash('sha256')",
  '```',
  'Text, and in a list:',
  '- item',
  '  ```ts continues',
  '  hash.updat(new Uint8Array())',
  '  ```',
  '```sh',
  'npm test',
  '```',
  '````js',
  '/** @type {number} */',
  "const wrong = '```'",
  '````',
].join('\n')

test('a mistake in a code block is reported with its file and line', async () => {
  const programs = programsOf(markdownBlocks('page.md', page))
  const errors = await typeCheck('planted', programs)
  expect([...errors.values()].flat()).toEqual([
    expect.stringMatching(/^page\.md:9: error TS2\d+: .*updat/),
    expect.stringMatching(/^page\.md:16: error TS2322: /),
  ])
}, 60_000)

test('a block that continues can use the names of the block before, and other blocks cannot', () => {
  const [first, second, ...rest] = programsOf(markdownBlocks('page.md', page))
  expect(first?.source.split('\n').map((line) => line !== '')).toEqual([
    ...[false, false, true, true, false, false, false, false, true],
  ])
  expect(second).toMatchObject({ line: 15, extension: 'js' })
  expect(rest).toEqual([])
})

test('a block that continues without a block before it is refused', () => {
  const blocks = markdownBlocks('page.md', '```ts continues\n```')
  expect(() => programsOf(blocks)).toThrow('page.md:2 continues nothing')
})

test('examples are read only from documentation comments', () => {
  const source = [
    '/**',
    ' * One sentence.',
    ' *',
    ' * @example',
    ' * ```ts',
    ' * const one = {',
    ' *   two: 2,',
    ' * }',
    ' * ```',
    ' */',
    'export const text = `',
    '```ts',
    'not an example',
    '```',
    '`',
  ].join('\n')
  expect(docstringBlocks('src/x.ts', source)).toEqual([
    {
      file: 'src/x.ts',
      line: 6,
      language: 'ts',
      marks: [],
      lines: ['const one = {', '  two: 2,', '}'],
    },
  ])
})
