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
import { run } from '../../scripts/lib/child.mjs'
import { Failure } from '../../scripts/lib/failure.mjs'
import { packageOf } from '../../scripts/lib/imports.mjs'
import { LaneReport } from '../../scripts/lib/lane-report.mjs'
import { npm } from '../../scripts/lib/npm.mjs'
import { packAll } from '../../scripts/lib/pack.mjs'
import { root } from '../../scripts/lib/root.mjs'
import { tool } from '../../scripts/lib/tool.mjs'
import { publishable } from '../../scripts/lib/workspace.mjs'
import { checkBundles } from './bundles.mjs'
import { checkCommand } from './command.mjs'
import { loadedPackages } from './loaded-packages.mjs'
import { asCommonJs, importsOfProgram, quickStart } from './quick-start.mjs'
import { checkWorkspace } from './workspace.mjs'

/** The oldest compiler whose users we look after, beside the workspace's own. */
const olderTypeScript = '5.9.3'

/** Releases of Node's types that users have beside the workspace's, which are those of the oldest Node. */
const newerNodeTypes = ['25.9.9', '26.6.6']

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'countersign-consumer-')))
const project = join(folder, 'project')
mkdirSync(project)

const report = new LaneReport()

/**
 * @param {string} file
 * @param {string} text
 */
const write = (file, text) => writeFileSync(join(project, file), text)

/** @param {Promise<import('../../scripts/lib/child.mjs').Outcome>} running */
async function succeeds(running) {
  const { code, output } = await running
  if (code !== 0) throw new Failure(`${output}\nended with exit code ${code}`)
}

/** @param {string} file */
const node = (file) =>
  succeeds(
    run(process.execPath, [file], {
      cwd: project,
      env: { COUNTERSIGN_EXAMPLE_KEY: join(project, 'key.pem') },
      output: 'capture',
    }),
  )

/** Ends the lane; a project in which something failed stays to be looked at. */
function leave() {
  if (report.counts.failed > 0) console.log(`The project is left in ${project}.`)
  else rmSync(folder, { recursive: true, force: true })
  report.finish()
  process.exit()
}

const entryPoints = publishable().flatMap(({ manifest }) =>
  Object.keys(manifest.exports ?? {})
    .filter((subpath) => subpath !== './package.json')
    .map((subpath) => manifest.name + subpath.slice(1)),
)

/** @type {Awaited<ReturnType<typeof packAll>>} */
let packed = []
await report.check('every publishable package can be packed', async () => {
  packed = await packAll(join(folder, 'tarballs'))
})

for (const { name, tarball } of packed) {
  await report.check(
    `${name} holds what the compiler wrote, its README and its licence`,
    async () => {
      const { output } = await run('tar', ['-tzf', tarball], { output: 'capture' })
      const others = output
        .split('\n')
        .filter((file) => !/^package\/dist\/.*\.(?:js|d\.ts)(?:\.map)?$|^$/.test(file))
        .map((file) => file.replace('package/', ''))
        .sort()
      deepEqual(others, ['LICENSE', 'README.md', 'package.json'])
    },
  )
}

/** What a user brings: the other modules of the quick start, and the types of Node. */
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

const installed = await report.check(
  'plain npm installs the packages in an empty folder',
  async () => {
    const ours = packed.map(({ name, tarball }) => [name, `file:${tarball}`])
    const dependencies = { ...Object.fromEntries(ours), ...others() }
    write('package.json', JSON.stringify({ name: 'consumer', private: true, dependencies }))
    await succeeds(npm(['install', '--no-audit', '--no-fund'], { cwd: project, output: 'capture' }))
    await succeeds(npm(['ls', '--all'], { cwd: project, output: 'capture' }))
  },
)

if (!installed) leave()

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
write('key.pem', String(privateKey.export({ type: 'pkcs8', format: 'pem' })))
chmodSync(join(project, 'key.pem'), 0o600)

await report.check('the quick start runs as an ES module', async () => {
  write('quick-start.mjs', quickStart(readme()))
  await node('quick-start.mjs')
})

await report.check('the quick start runs as CommonJS', async () => {
  write('quick-start.cjs', asCommonJs(quickStart(readme())))
  await node('quick-start.cjs')
})

await report.check('every entry point can be required', async () => {
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
  await report.check(`a local key signs from ${format} and loads core and local only`, async () => {
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
// Keys as Node's own types have them, which differ from release to release.
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

const olderHome = join(folder, 'typescript')
await report.check(`plain npm installs TypeScript ${olderTypeScript}`, async () => {
  mkdirSync(olderHome)
  const install = ['install', '--no-audit', '--no-fund', '--prefix', olderHome]
  const options = /** @type {const} */ ({ cwd: olderHome, output: 'capture' })
  await succeeds(npm([...install, `typescript@${olderTypeScript}`], options))
})

/** @param {string} types  the release of Node's types that is installed in the project */
async function checkDeclarations(types) {
  const args = ['-p', project, '--pretty', 'false']
  const options = /** @type {const} */ ({ cwd: project, output: 'capture' })
  await report.check(`the declarations compile with @types/node ${types}`, () =>
    succeeds(tool('tsc', args, options)),
  )
  await report.check(
    `the declarations compile with @types/node ${types} and TypeScript ${olderTypeScript}`,
    () =>
      succeeds(
        run(
          process.execPath,
          [join(olderHome, 'node_modules/typescript/bin/tsc'), ...args],
          options,
        ),
      ),
  )
}

await checkDeclarations(others()['@types/node'] ?? '')
for (const types of newerNodeTypes) {
  const install = ['install', '--no-save', '--no-audit', '--no-fund', `@types/node@${types}`]
  const options = /** @type {const} */ ({ cwd: project, output: 'capture' })
  const isInstalled = await report.check(`plain npm installs @types/node ${types}`, () =>
    succeeds(npm(install, options)),
  )
  if (isInstalled) await checkDeclarations(types)
}

await checkCommand(report, packed, { folder, root })
await checkBundles(report, packed, { folder, key: join(project, 'key.pem') })
await checkWorkspace(report, { folder })

leave()
