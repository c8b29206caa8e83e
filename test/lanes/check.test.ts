import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'vitest'
import { packAll } from '../../scripts/pack.mjs'
import { cache, members, root } from '../../scripts/workspace.mjs'
import { tool } from '../support/run.js'

/** Every project there is, so that none escapes because the root's references miss it. */
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
