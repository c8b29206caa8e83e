import { equal, match } from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from '../../scripts/lib/failure.mjs'
import { npm } from '../../scripts/lib/npm.mjs'
import { readManifest } from '../../scripts/lib/workspace.mjs'

/** @typedef {{ name: string, tarball: string }} Packed */

/**
 * Installs the packed command by plain npm in an empty folder, with what it depends on and nothing else, and runs it
 * there.
 *
 * @param {import('../../scripts/lib/lane-report.mjs').LaneReport} report
 * @param {readonly Packed[]} packed
 * @param {{ folder: string, root: string }} places
 */
export async function checkCommand(report, packed, { folder, root }) {
  const project = join(folder, 'command')
  /** @param {string} path */
  const withDependencies = (path) => {
    const { name: own, dependencies = {} } = readManifest(join(root, path))
    return packed.filter(({ name }) => name === own || name in dependencies)
  }
  await report.check('plain npm installs the command alone', () =>
    install(project, withDependencies('packages/cli')),
  )

  const key = join(project, 'key.pem')
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  writeFileSync(key, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })

  await report.check('npx countersign inspect shows a key in a file', async () => {
    const { code, output } = await npx(project, ['inspect', 'key.pem', '--json'])
    if (code !== 0) throw new Failure(output)
    for (const member of [/"backend": "local"/, /"alg": "ES256"/, /"verified": true/]) {
      match(output, member)
    }
  })

  await report.check('a key in a backend that is not installed says what to install', async () => {
    const uri = 'pkcs11:token=agents;object=billing?module-path=/usr/lib/libmodule.so'
    const { code, output } = await npx(project, ['inspect', uri])
    equal(code, 3, output)
    match(output, /npm install .*@countersign\/pkcs11/)
  })

  const demo = join(folder, 'demo')
  await report.check('npx @countersign/demo shows the whole flow', async () => {
    await install(demo, withDependencies('packages/demo'))
    const { code, output } = await npm(['exec', '--no', '--', '@countersign/demo'], inFolder(demo))
    if (code !== 0) throw new Failure(output)
    match(output, /whoami answers +demo-agent\n/)
  })
}

/**
 * @param {string} folder
 * @param {readonly Packed[]} packed
 */
async function install(folder, packed) {
  mkdirSync(folder)
  const dependencies = Object.fromEntries(
    packed.map(({ name, tarball }) => [name, `file:${tarball}`]),
  )
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies }))
  const args = ['install', '--no-audit', '--no-fund']
  const { code, output } = await npm(args, inFolder(folder))
  if (code !== 0) throw new Failure(output)
}

/**
 * @param {string} folder
 * @param {readonly string[]} args
 */
const npx = (folder, args) => npm(['exec', '--no', '--', 'countersign', ...args], inFolder(folder))

/** @param {string} cwd */
const inFolder = (cwd) => /** @type {const} */ ({ cwd, output: 'capture' })
