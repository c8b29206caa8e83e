import { cpSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { packAll, withTarballs } from '../../scripts/pack.mjs'
import { root } from '../../scripts/workspace.mjs'
import { npm, output } from '../support/run.js'

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'countersign-example-')))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('an example that is copied out of the repository is installed by plain npm and runs', {
  timeout: 300_000,
}, async () => {
  const copy = join(folder, 'copy')
  const original = join(root, 'examples/local-key-mcp-v2')
  cpSync(original, copy, {
    recursive: true,
    filter: (source) => !source.startsWith(join(original, 'node_modules')),
  })
  const { dependencies } = JSON.parse(readFileSync(join(copy, 'package.json'), 'utf8'))
  const ours = Object.keys(dependencies).filter((name) => name.startsWith('@countersign/'))
  const tarballs = withTarballs(ours, packAll(join(folder, 'tarballs')))
  await npm(['install', '--no-audit', '--no-fund', ...tarballs], { cwd: copy })
  expect(await output(process.execPath, ['index.js'], { cwd: copy, timeoutSeconds: 60 })).toMatch(
    /authorized example-agent at \S+\n$/,
  )
})
