import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { packAll } from '../../scripts/pack.mjs'
import { cache, members, root } from '../../scripts/workspace.mjs'
import { actionlint, actionlintMissing } from '../support/actionlint.js'
import { output, run, tool } from '../support/run.js'

/** Every project, including those that the root's references may miss. */
const projects = [root, join(root, 'scripts'), join(root, 'examples')]
  .concat(members().map(({ path }) => path))
  .filter((path) => existsSync(join(path, 'tsconfig.json')))

const tools: Readonly<Record<string, readonly [string, ...string[]]>> = {
  format: ['biome', 'format', '.'],
  lint: ['biome', 'check', '--formatter-enabled=false', '--error-on-warnings', '.'],
  types: ['tsc', '-b', '--pretty', 'false', ...projects],
  'unused code and dependencies': ['knip', '--no-config-hints'],
}

test.each(Object.entries(tools))('%s', { timeout: 300_000 }, async (_name, [program, ...args]) => {
  await tool(program, args)
})

test('the workflows', { timeout: 300_000 }, async ({ skip }) => {
  if (actionlintMissing() !== undefined) skip(`missing: ${actionlintMissing()}`)
  // Other linters that are installed here would be run as well.
  const options = ['-no-color', '-shellcheck=', '-pyflakes=']
  const folder = join(root, '.github/workflows')
  const workflows = readdirSync(folder).map((name) => join(folder, name))
  await output(await actionlint(), [...options, ...workflows])
})

test.each([
  ['values', "import { b } from './b.js'\nexport const a = () => b\n"],
  ['types only', "import type { b } from './b.js'\nexport type A = typeof b\n"],
])('lint refuses an import cycle of %s', async (_what, source) => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-cycle-'))
  try {
    const configuration = JSON.parse(readFileSync(join(root, 'biome.json'), 'utf8'))
    configuration.vcs.enabled = false
    writeFileSync(join(folder, 'biome.json'), JSON.stringify(configuration))
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
    writeFileSync(join(folder, 'a.ts'), source)
    writeFileSync(join(folder, 'b.ts'), "export * from './a.js'\nexport const b = 1\n")
    const biome = join(root, 'node_modules/.bin/biome')
    const { code, output } = await run(biome, ['lint', '.'], { cwd: folder })
    expect(output).toContain('lint/suspicious/noImportCycles')
    expect(code).toBe(1)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

describe('a packed package', () => {
  const packed = packAll(join(cache, 'packed'))

  test.each(packed.map(({ name, tarball }) => [name, tarball]))(
    '%s is what publint and attw expect',
    { timeout: 120_000 },
    async (_name, tarball) => {
      await tool('publint', [tarball, '--strict'])
      await tool('attw', [tarball, '--profile', 'esm-only'])
    },
  )
})
