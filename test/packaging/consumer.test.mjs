// A user's project: the packed packages, installed by plain npm outside the workspace.
import { deepEqual } from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, test, vi } from 'vitest'
import { packAll } from '../../scripts/pack.mjs'
import { publishable, root } from '../../scripts/workspace.mjs'
import { npm, output } from '../support/run.js'
import { checkBundles } from './bundles.mjs'
import { checkCommand } from './command.mjs'
import { packageOf } from './imports.mjs'
import { loadedPackages } from './loaded-packages.mjs'
import { asCommonJs, importsOfProgram, quickStart } from './quick-start.mjs'
import { checkWorkspace } from './workspace.mjs'

/** The oldest supported compiler, which is tested in addition to the workspace's own. */
const olderTypeScript = '5.9.3'

/** Releases of Node's types that are tested in addition to the workspace's, which are for the oldest Node. */
const newerNodeTypes = ['25.9.9', '26.6.6']

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'countersign-consumer-')))
const project = join(folder, 'project')
mkdirSync(project)

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/**
 * @param {string} file
 * @param {string} text
 */
const write = (file, text) => writeFileSync(join(project, file), text)

/** @param {string} file */
const node = (file) =>
  output(process.execPath, [file], {
    cwd: project,
    env: { COUNTERSIGN_EXAMPLE_KEY: join(project, 'key.pem') },
  })

const entryPoints = publishable().flatMap(({ manifest }) =>
  Object.keys(manifest.exports ?? {})
    .filter((subpath) => !subpath.endsWith('.json'))
    .map((subpath) => manifest.name + subpath.slice(1)),
)

const packed = packAll(join(folder, 'tarballs'))

/**
 * What a package has besides its code.
 *
 * @type {Record<string, string[]>}
 */
const dataFiles = {
  '@countersign/agent': [
    'launchd/countersign-agent.plist',
    'openapi.json',
    'schema.json',
    'systemd/countersign-agent.service',
    'systemd/countersign-agent.socket',
  ],
}

test.each(packed)(
  '$name holds what the compiler wrote, its data files, its README and its licence',
  async (one) => {
    const files = await output('tar', ['-tzf', one.tarball])
    const others = files
      .split('\n')
      .filter((file) => !/^package\/dist\/.*\.(?:js|d\.ts)(?:\.map)?$|^$/.test(file))
      .map((file) => file.replace('package/', ''))
      .sort()
    const data = dataFiles[one.name] ?? []
    deepEqual(others, ['LICENSE', 'README.md', 'package.json', ...data].sort())
  },
)

/** Packages that a user installs: the other modules of the quick start, and the types of Node. */
function others() {
  const catalog = readFileSync(join(root, 'pnpm-workspace.yaml'), 'utf8')
  const names = importsOfProgram(quickStart(readme())).map(packageOf)
  return Object.fromEntries(
    ['@types/node', ...names].flatMap((name) => {
      const version = new RegExp(`^  '?${name}'?: (.+)$`, 'm').exec(catalog)?.[1]
      return version === undefined ? [] : [[name, version]]
    }),
  )
}

const readme = () => readFileSync(join(root, 'README.md'), 'utf8')

test('plain npm installs the packages in an empty folder', async () => {
  const ours = packed.map(({ name, tarball }) => [name, `file:${tarball}`])
  const dependencies = { ...Object.fromEntries(ours), ...others() }
  write('package.json', JSON.stringify({ name: 'consumer', private: true, dependencies }))
  await npm(['install', '--no-audit', '--no-fund'], { cwd: project })
  await npm(['ls', '--all'], { cwd: project })
})

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
write('key.pem', String(privateKey.export({ type: 'pkcs8', format: 'pem' })))
chmodSync(join(project, 'key.pem'), 0o600)

test('the quick start runs as an ES module', async () => {
  write('quick-start.mjs', quickStart(readme()))
  await node('quick-start.mjs')
})

test('the quick start runs as CommonJS', async () => {
  write('quick-start.cjs', asCommonJs(quickStart(readme())))
  await node('quick-start.cjs')
})

test('every entry point can be required', async () => {
  const lines = entryPoints.map(
    (name) => `if (Object.keys(require('${name}')).length === 0) throw new Error('${name}')`,
  )
  write('entry-points.cjs', lines.join('\n'))
  await node('entry-points.cjs')
})

const assertion = `
import { createPublicKey, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { clientAssertion } from '@countersign/core'
import { localSigner } from '@countersign/local'

const pem = readFileSync('key.pem', 'utf8')
const signer = await localSigner({ key: pem })
const jwt = await clientAssertion(signer, { clientId: 'c', audience: 'https://as.example' })
const [header, payload, signature] = jwt.split('.')
const key = { key: createPublicKey(pem), dsaEncoding: 'ieee-p1363' }
const signed = Buffer.from(header + '.' + payload)
if (!verify('sha256', signed, key, Buffer.from(signature, 'base64url'))) throw new Error(jwt)
`.trimStart()

for (const [format, file, source] of [
  ['an ES module', 'assertion.mjs', assertion],
  ['CommonJS', 'assertion.cjs', asCommonJs(assertion)],
]) {
  test(`a local key signs from ${format} and loads core and local only`, async () => {
    write(`${file}`, `${source}`)
    deepEqual(await loadedPackages(project, `${file}`), ['@countersign/core', '@countersign/local'])
  })
}

write(
  'tsconfig.json',
  JSON.stringify({
    compilerOptions: {
      target: 'es2022',
      module: 'nodenext',
      moduleResolution: 'nodenext',
      strict: true,
      exactOptionalPropertyTypes: true,
      skipLibCheck: false,
      types: ['node'],
      noEmit: true,
    },
    files: ['entry-points.mts', 'entry-points-required.cts', 'keys.mts'],
  }),
)
const imported = entryPoints.map((name, i) => `export * as m${i} from '${name}'`)
const required = entryPoints.map((name, i) => `import m${i} = require('${name}')\nvoid m${i}`)
write('entry-points.mts', imported.join('\n'))
// Uses Node's own types of keys, which differ between releases.
write(
  'keys.mts',
  `
import { generateKeyPairSync, type webcrypto } from 'node:crypto'
import type { Jwk, PublicKeyInput } from '@countersign/core'
import { localSigner } from '@countersign/local'

declare const key: webcrypto.CryptoKey
declare const exported: webcrypto.JsonWebKey
const { privateKey, publicKey } = generateKeyPairSync('ed25519')
export const signers = [
  localSigner({ key }),
  localSigner({ key: exported }),
  localSigner({ key: privateKey }),
  localSigner({ key: privateKey.export({ format: 'jwk' }) }),
]
export const inputs: PublicKeyInput[] = [publicKey, publicKey.export({ format: 'jwk' }), exported]
export const jwk: Jwk = exported
`,
)
write('entry-points-required.cts', required.join('\n'))

const compilers = {
  "the workspace's TypeScript": join(root, 'node_modules/typescript/bin/tsc'),
  [`TypeScript ${olderTypeScript}`]: join(folder, 'typescript/node_modules/typescript/bin/tsc'),
}

test(`plain npm installs TypeScript ${olderTypeScript}`, async () => {
  const home = join(folder, 'typescript')
  mkdirSync(home)
  const install = ['install', '--no-audit', '--no-fund', '--prefix', home]
  await npm([...install, `typescript@${olderTypeScript}`], { cwd: home })
})

for (const types of [others()['@types/node'] ?? '', ...newerNodeTypes]) {
  test(`plain npm installs @types/node ${types}`, async () => {
    const install = ['install', '--no-save', '--no-audit', '--no-fund', `@types/node@${types}`]
    await npm(install, { cwd: project })
  })
  for (const [name, tsc] of Object.entries(compilers)) {
    test(`the declarations compile with @types/node ${types} and ${name}`, async () => {
      await output(process.execPath, [tsc, '-p', project, '--pretty', 'false'], { cwd: project })
    })
  }
}

checkCommand(packed, { folder, root })
checkBundles(packed, { folder, key: join(project, 'key.pem') })
checkWorkspace({ folder })
