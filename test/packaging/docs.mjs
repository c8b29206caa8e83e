// What the documentation tells a newcomer to run: in fresh folders, from the packed packages, with plain npm.
import { match } from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jwks } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { run } from '../../scripts/lib/child.mjs'
import { Failure } from '../../scripts/lib/failure.mjs'
import { LaneReport } from '../../scripts/lib/lane-report.mjs'
import { npm } from '../../scripts/lib/npm.mjs'
import { packAll, withTarballs } from '../../scripts/lib/pack.mjs'
import { prepared } from '../../scripts/lib/prepare.mjs'
import { root } from '../../scripts/lib/root.mjs'
import { tool } from '../../scripts/lib/tool.mjs'
import { startAwsKms } from '../servers/aws-kms.js'
import { listenOnLoopback } from '../servers/loopback.js'
import { startPair } from '../servers/pair.js'
import { checkGettingStarted } from './getting-started.mjs'
import { installsOf, pages, pinned, programsOf } from './pages.mjs'

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'countersign-docs-')))
const report = new LaneReport()

/** @type {Awaited<ReturnType<typeof packAll>>} */
let packed = []
await report.check('the packages can be packed', async () => {
  packed = await packAll(join(folder, 'tarballs'))
})

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const pem = privateKey.export({ type: 'pkcs8', format: 'pem' })
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
const rsaFile = join(folder, 'rsa.pem')
writeFileSync(rsaFile, rsa.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })

const pair = await startPair({
  client_id: 'billing-agent',
  token_endpoint_auth_method: 'private_key_jwt',
  jwks: jwks(await localSigner({ key: privateKey })),
})
const api = await listenOnLoopback((request, response) => {
  response.writeHead(request.headers.authorization?.startsWith('Bearer ') ? 200 : 401).end()
})
pair.authorizationServer.registerResource(`${api.origin}/invoices`, [])
const aws = await startAwsKms()
const awsKey = aws.createKey('P-256')
aws.setAlias('alias/billing-agent', awsKey)

/** The names of the documentation, and what stands for them here. */
const here = /** @type {const} */ ([
  ['https://as.example.com', pair.authorizationServer.issuer],
  ['https://mcp.example.com/mcp', pair.mcpServer.url],
  ['https://api.example.com', api.origin],
  ['/etc/agent/key.pem', rsaFile],
  ['arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab', awsKey.arn],
  [`name: 'invoices', arguments: { month: '2026-11' }`, `name: 'whoami'`],
])

/** @param {string} text */
const adapted = (text) => here.reduce((text, [name, value]) => text.replaceAll(name, value), text)

/**
 * Installs what a line of the documentation installs, once for all pages that have the same line.
 *
 * @type {Map<string, { place: string, installed: boolean }>}
 */
const projects = new Map()

/**
 * @param {string} file
 * @param {readonly string[]} words
 */
async function install(file, words) {
  const line = words.join(' ')
  const known = projects.get(line)
  if (known !== undefined) return known
  const place = join(folder, `project-${projects.size}`)
  mkdirSync(place)
  const installed = await report.check(`${file}: npm install ${line}`, async () => {
    const options = ['--no-audit', '--no-fund', '--prefix', place]
    const args = ['install', ...options, ...withTarballs(pinned(words), packed)]
    await succeeds(npm(args, { cwd: place, output: 'capture' }))
    if (!words.includes('--global')) return
    const command = join(place, 'bin/countersign')
    match(await succeeds(run(command, ['--version'], { output: 'capture' })), /^\d+\.\d+\.\d+/)
  })
  const project = { place, installed }
  projects.set(line, project)
  return project
}

/** @param {Promise<import('../../scripts/lib/child.mjs').Outcome>} running */
async function succeeds(running) {
  const { code, output } = await running
  if (code !== 0) throw new Failure(`${output.slice(-4000)}\nended with exit code ${code}`)
  return output
}

/** Programs of services that cannot be named from outside, and of a test runner. */
const notHere = [/@countersign\/gcp-kms/, /@countersign\/pkcs11/, /from 'vitest'/]

for (const page of pages()) {
  const { file } = page
  const installs = installsOf(page)
  if (file === 'docs/getting-started.md') {
    // The walk below follows the other sections.
    const others = installs.filter(({ words }) => /google|azure/.test(words.join()))
    for (const { words } of others) await install(file, words)
    continue
  }
  for (const { words } of installs) await install(file, words)
  for (const { line, text } of programsOf(page)) {
    const words = installs
      .filter((before) => before.line < line && !before.words.includes('--global'))
      .at(-1)?.words
    if (words === undefined || notHere.some((service) => service.test(text))) continue
    const { place, installed } = await install(file, words)
    if (installed) await report.check(`${file}:${line} runs`, () => runProgram(place, text))
  }
}

/**
 * Runs a program in a project, with a key in agent-key.pem, as the documentation has it.
 *
 * @param {string} project
 * @param {string} text
 */
async function runProgram(project, text) {
  const place = mkdtempSync(join(project, 'program-'))
  writeFileSync(join(place, 'package.json'), '{ "type": "module" }')
  writeFileSync(join(place, 'agent-key.pem'), pem, { mode: 0o600 })
  writeFileSync(join(place, 'program.ts'), adapted(text))
  const options = /** @type {const} */ ({ cwd: place, output: 'capture', timeoutSeconds: 60 })
  const compiler = ['--noCheck', '--module', 'nodenext', '--target', 'es2022', '--ignoreConfig']
  await succeeds(tool('tsc', [...compiler, 'program.ts'], options))
  await succeeds(run(process.execPath, ['program.js'], { ...options, env: aws.env }))
}

await report.check('npm run pack prints a line that installs the packages elsewhere', async () => {
  const place = join(folder, 'from-a-clone')
  mkdirSync(place)
  const args = ['run', '--silent', 'pack', '--', '@countersign/core', '@countersign/local']
  const line = await succeeds(npm(args, { cwd: root, env: prepared, output: 'capture' }))
  match(line, /^npm install \S+ \S+\n$/)
  const installing = npm(line.trim().split(' ').slice(1), { cwd: place, output: 'capture' })
  match(await succeeds(installing), /^added \d+ packages/m)
})

await report.check('npm run countersign runs the command in the folder of the caller', async () => {
  writeFileSync(join(folder, 'key.pem'), pem, { mode: 0o600 })
  const args = ['run', '--silent', '--prefix', root, 'countersign', '--', 'inspect', 'key.pem']
  const running = npm(args, { cwd: folder, env: prepared, output: 'capture' })
  match(await succeeds(running), /^algorithm +ES256$/m)
})

await checkGettingStarted(report, packed, { folder, pair })

await Promise.all([pair.close(), api.close(), aws.close()])
if (report.counts.failed > 0) console.log(`What was installed is left in ${folder}.`)
else rmSync(folder, { recursive: true, force: true })
report.finish()
