import { expect, test } from 'vitest'
import { importsOf, packageOf } from './imports.mjs'
import { asCommonJs, quickStart } from './quick-start.mjs'

test('imports are found in compiled code, and not in its comments', () => {
  const source = [
    "import { a, type B } from 'fixed-one'",
    'import {',
    '  c,',
    "} from 'fixed-two/sub'",
    "import 'fixed-three'",
    "export { d } from './relative.js'",
    'export const text = "import x from \'text\'"',
    'async function f() {',
    "  return import('late-one')",
    '}',
    '/**',
    " * import { x } from 'example'",
    "import.meta.resolve('not-loaded')",
    ' */',
    "// await import('comment')",
    "const late = require('late-two')",
  ].join('\n')
  expect(importsOf(source)).toEqual({
    fixed: ['fixed-one', 'fixed-two/sub', './relative.js', 'fixed-three'],
    dynamic: ['late-one', 'late-two'],
  })
})

test.each([
  ['@scope/name/sub.js', '@scope/name'],
  ['name/sub.js', 'name'],
  ['./near.js', undefined],
  ['node:crypto', undefined],
])('%s belongs to %s', (specifier, name) => {
  expect(packageOf(specifier)).toBe(name)
})

const readme = [
  '# Title',
  '```js',
  'too(early)',
  '```',
  '## Quick start',
  '```sh',
  'npm install x',
  '```',
  '```js',
  "import { a as b, c } from 'one'",
  "import * as two from 'two'",
  'console.log(await b(c, two))',
  '```',
].join('\n')

test('the quick start is the first JavaScript under its heading', () => {
  expect(quickStart(readme).split('\n')[2]).toBe('console.log(await b(c, two))')
  expect(() => quickStart('# Title')).toThrow('no heading "Quick start"')
  expect(() => quickStart('# Quick start\n')).toThrow('shows no JavaScript')
})

test('the quick start becomes CommonJS by turning every import into a require', () => {
  expect(asCommonJs(quickStart(readme)).split('\n').filter(Boolean)).toEqual([
    "const { a : b, c } = require('one')",
    "const two = require('two')",
    'void (async () => {',
    'console.log(await b(c, two))',
    '})()',
  ])
  expect(() => asCommonJs("import x from 'x'")).toThrow('only names can be required')
})
