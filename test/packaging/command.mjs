import { equal, match } from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'vitest'
import { readManifest } from '../../scripts/workspace.mjs'
import { npm, run } from '../support/run.js'

/**
 * Installs the packed command and its dependencies, and nothing else, by plain npm in an empty folder, and runs it there.
 *
 * @param {readonly import('../../scripts/pack.mjs').Packed[]} packed
 * @param {{ folder: string, root: string }} places
 */
export function checkCommand(packed, { folder, root }) {
  const project = join(folder, 'command')
  const { dependencies = {}, optionalDependencies = {} } = readManifest(join(root, 'packages/cli'))
  const ours = packed.filter(({ name }) => name === 'countersign' || name in dependencies)
  test('plain npm installs the command alone', () => install(project, ours))

  const key = join(project, 'key.pem')
  mkdirSync(project)
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  writeFileSync(key, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })

  test('npx countersign inspect shows a key in a file', async () => {
    const { code, output } = await npx(project, ['inspect', 'key.pem', '--json'])
    if (code !== 0) throw new Error(output)
    for (const member of [/"backend": "local"/, /"alg": "ES256"/, /"verified": true/]) {
      match(output, member)
    }
  })

  test('npx countersign demo runs the whole flow', async () => {
    const { code, output } = await npx(project, ['demo'])
    if (code !== 0) throw new Error(output)
    match(output, /whoami answers +demo-agent\n/)
  })

  test('a key in a backend that is not installed says what to install', async () => {
    const uri = 'pkcs11:token=agents;object=billing?module-path=/usr/lib/libmodule.so'
    const { code, output } = await npx(project, ['inspect', uri])
    equal(code, 2, output)
    match(output, /npm install .*@countersign\/pkcs11/)
  })

  const small = join(folder, 'command-without-demo')
  test('the command does not need the servers of the demo', async () => {
    await install(small, ours, ['--omit=optional'])
    const { code, output } = await npx(small, ['inspect', key])
    if (code !== 0) throw new Error(output)
    const demo = await npx(small, ['demo'])
    equal(demo.code, 2, demo.output)
    match(demo.output, /optional dependencies/)
    const tree = await npm(['ls', '--all', '--parseable'], { cwd: small })
    for (const name of Object.keys(optionalDependencies)) {
      if (name !== 'jose' && tree.includes(`/${name}\n`)) throw new Error(`${name} is there`)
    }
  })
}

/**
 * @param {string} folder
 * @param {readonly import('../../scripts/pack.mjs').Packed[]} packed
 * @param {readonly string[]} [options]
 */
async function install(folder, packed, options = []) {
  mkdirSync(folder, { recursive: true })
  const dependencies = Object.fromEntries(
    packed.map(({ name, tarball }) => [name, `file:${tarball}`]),
  )
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies }))
  await npm(['install', '--no-audit', '--no-fund', ...options], { cwd: folder })
}

/**
 * @param {string} folder
 * @param {readonly string[]} args
 */
const npx = (folder, args) =>
  run('npm', ['exec', '--no', '--', 'countersign', ...args], {
    cwd: folder,
    env: { npm_config_local_prefix: undefined },
  })
