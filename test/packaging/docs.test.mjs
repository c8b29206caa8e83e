// Runs what the documentation tells a new user to run: in new folders, from the packed packages, with plain npm.
import { match } from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jwks } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { afterAll, test, vi } from 'vitest'
import { packAll, withTarballs } from '../../scripts/pack.mjs'
import { prepared } from '../../scripts/prepare.mjs'
import { root } from '../../scripts/workspace.mjs'
import { startAwsKms } from '../servers/aws-kms.js'
import { listenOnLoopback } from '../servers/loopback.js'
import { startPair } from '../servers/pair.js'
import { npm, output, tool } from '../support/run.js'
import { checkGettingStarted } from './getting-started.mjs'
import { installsOf, pages, pinned, programsOf } from './pages.mjs'

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'countersign-docs-')))
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 })

const packed = packAll(join(folder, 'tarballs'))

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

/** The names that the documentation uses, and their replacements in these tests. */
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

/** The project of each install line. Pages with the same line share a project. */
const projects = new Map()

/**
 * Installs the packages of an install line of the documentation.
 *
 * @param {string} file
 * @param {readonly string[]} words
 * @returns {string} the folder
 */
function install(file, words) {
  const line = words.join(' ')
  if (projects.has(line)) return projects.get(line)
  const place = join(folder, `project-${projects.size}`)
  projects.set(line, place)
  test(`${file}: npm install ${line}`, async () => {
    mkdirSync(place)
    const options = ['--no-audit', '--no-fund', '--prefix', place]
    await npm(['install', ...options, ...withTarballs(pinned(words), packed)], { cwd: place })
    if (!words.includes('--global')) return
    match(await output(join(place, 'bin/countersign'), ['--version']), /^\d+\.\d+\.\d+/)
  })
  return place
}

/**
 * Programs that need Google Cloud KMS, a PKCS#11 token, an agent, a proxy or a test runner. They are not run here; the
 * one with a proxy is run by test/sdk/proxy.test.ts.
 */
const notHere = [
  /@countersign\/gcp-kms/,
  /@countersign\/pkcs11/,
  /@countersign\/agent/,
  /https-proxy-agent/,
  /from 'vitest'/,
]

for (const page of pages()) {
  const { file } = page
  // The packages of acme are invented, to show what a third party's are called.
  const installs = installsOf(page).filter(({ words }) => !/@acme\//.test(words.join()))
  if (file === 'docs/getting-started.md') {
    // getting-started.mjs runs the other sections.
    const others = installs.filter(({ words }) => /google|azure/.test(words.join()))
    for (const { words } of others) install(file, words)
    continue
  }
  for (const { words } of installs) install(file, words)
  for (const { line, text } of programsOf(page)) {
    const words = installs
      .filter((before) => before.line < line && !before.words.includes('--global'))
      .at(-1)?.words
    if (words === undefined || notHere.some((service) => service.test(text))) continue
    const place = install(file, words)
    test(`${file}:${line} runs`, () => runProgram(place, text))
  }
}

/**
 * Runs a program in a project that has a key in agent-key.pem, as in the documentation.
 *
 * @param {string} project
 * @param {string} text
 */
async function runProgram(project, text) {
  const place = mkdtempSync(join(project, 'program-'))
  writeFileSync(join(place, 'package.json'), '{ "type": "module" }')
  writeFileSync(join(place, 'agent-key.pem'), pem, { mode: 0o600 })
  writeFileSync(join(place, 'program.ts'), adapted(text))
  const compiler = ['--noCheck', '--module', 'nodenext', '--target', 'es2022', '--ignoreConfig']
  await tool('tsc', [...compiler, 'program.ts'], { cwd: place })
  await output(process.execPath, ['program.js'], { cwd: place, env: aws.env, timeoutSeconds: 60 })
}

test('npm run pack prints a line that installs the packages elsewhere', async () => {
  const place = join(folder, 'from-a-clone')
  mkdirSync(place)
  const args = ['run', '--silent', 'pack', '--', '@countersign/core', '@countersign/local']
  const line = await npm(args, { cwd: root, env: prepared })
  match(line, /^npm install \S+ \S+\n$/)
  const installed = await npm(line.trim().split(' ').slice(1), { cwd: place })
  match(installed, /^added \d+ packages/m)
})

test('npm run countersign runs the command in the folder of the caller', async () => {
  writeFileSync(join(folder, 'key.pem'), pem, { mode: 0o600 })
  const args = ['run', '--silent', '--prefix', root, 'countersign', '--', 'inspect', 'key.pem']
  match(await npm(args, { cwd: folder, env: prepared }), /^algorithm +ES256$/m)
})

checkGettingStarted(packed, { folder, pair })

afterAll(async () => {
  await Promise.all([pair.close(), api.close(), aws.close()])
  rmSync(folder, { recursive: true, force: true })
})
