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
  /** @param {string} path */
  const withDependencies = (path) => {
    const { name: own, dependencies = {} } = readManifest(join(root, path))
    return packed.filter(({ name }) => name === own || name in dependencies)
  }
  test('plain npm installs only the command and its dependencies', () =>
    install(project, withDependencies('packages/cli')))

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

  test('a key in a backend that is not installed says what to install', async () => {
    const uri = 'pkcs11:token=agents;object=billing?module-path=/usr/lib/libmodule.so'
    const { code, output } = await npx(project, ['inspect', uri])
    equal(code, 2, output)
    match(output, /npm install .*@countersign\/pkcs11/)
  })

  const demo = join(folder, 'demo')
  test('npx @countersign/demo shows the whole flow', async () => {
    await install(demo, withDependencies('packages/demo'))
    const output = await npm(['exec', '--no', '--', '@countersign/demo'], { cwd: demo })
    match(output, /whoami answers +demo-agent\n/)
  })
}

/**
 * @param {string} folder
 * @param {readonly import('../../scripts/pack.mjs').Packed[]} packed
 */
async function install(folder, packed) {
  mkdirSync(folder, { recursive: true })
  const dependencies = Object.fromEntries(
    packed.map(({ name, tarball }) => [name, `file:${tarball}`]),
  )
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies }))
  await npm(['install', '--no-audit', '--no-fund'], { cwd: folder })
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
