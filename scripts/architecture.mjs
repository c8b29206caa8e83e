// `npm run architecture`: measures what docs/architecture.md shows. Needs built packages.
import { generateKeyPairSync } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { Session } from 'node:inspector/promises'
import { join } from 'node:path'
import { awsKmsSigner } from '../packages/aws-kms/dist/index.js'
import { clientAssertion } from '../packages/core/dist/index.js'
import { privateKeyJwt, tokenSource } from '../packages/oauth/dist/index.js'
import { ecdsa } from '../test/support/digest-signature.js'
import { runSync } from './prepare.mjs'
import { packages, root } from './workspace.mjs'

/** Source files and lines of the packages, and how many imports are part of a cycle. */
function countSources() {
  const sources = packages().flatMap(({ path }) =>
    readdirSync(join(path, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => readFileSync(join(path, 'src', name), 'utf8')),
  )
  const biome = join(root, 'node_modules/@biomejs/biome/bin/biome')
  const rule = ['lint', '--only=suspicious/noImportCycles', '--reporter=json', 'packages']
  const { output } = runSync([process.execPath, biome, ...rule], { capture: true })
  const { errors, warnings } = JSON.parse(/^\{.*\}$/m.exec(output)?.[0] ?? '').summary
  return {
    files: sources.length,
    lines: sources.reduce((sum, text) => sum + text.split('\n').length - 1, 0),
    importsInCycles: errors + warnings,
  }
}

/** The source file of each compiled one that a text names, in the order of the text. */
const sourcesIn = (/** @type {string} */ text) => {
  const found = [...text.matchAll(/\/packages\/([\w-]+)\/dist\/([\w/-]+)\.js/g)]
  return [...new Set(found.map(([, folder, name]) => `packages/${folder}/src/${name}.ts`))]
}

const session = new Session()

/** The source files of which a function ran since the last call. */
async function sourcesRun() {
  const { result } = await session.post('Profiler.takePreciseCoverage')
  const run = result.filter(({ functions }) => functions.some(({ ranges }) => ranges[0]?.count))
  return sourcesIn(run.map(({ url }) => url).join('\n')).sort()
}

const keyId = 'arn:aws:kms:eu-west-1:111122223333:key/11111111-2222-3333-4444-555555555555'
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
/** The files on the call stack when the SDK was last called, from the caller to the SDK. */
let stack = ''

/** Stands for a `KMSClient`. The files on the stack are those between the caller and the SDK. */
const client = {
  config: {},
  /** @param {{ input: { Message?: Uint8Array } }} command */
  async send({ input: { Message: digest } }) {
    stack = new Error().stack?.split('\n').reverse().join('\n') ?? ''
    const answer = { $metadata: { httpStatusCode: 200 }, KeyId: keyId }
    if (digest !== undefined) return { ...answer, Signature: ecdsa(privateKey, digest, 'der') }
    const key = { KeySpec: 'ECC_NIST_P256', SigningAlgorithms: ['ECDSA_SHA_256'] }
    const spki = publicKey.export({ type: 'spki', format: 'der' })
    return { ...answer, ...key, KeyUsage: 'SIGN_VERIFY', PublicKey: spki }
  },
}

const issuer = 'https://as.example.com'
const metadata = {
  issuer,
  token_endpoint: `${issuer}/token`,
  token_endpoint_auth_methods_supported: ['private_key_jwt'],
}
const token = { access_token: 'token', token_type: 'Bearer', expires_in: 300 }

/** Stands for the authorization server. */
const fetch = async (/** @type {unknown} */ url) =>
  Response.json(String(url).includes('/.well-known/') ? metadata : token)

/** Which source files one assertion and one token request go through. */
async function measurePaths() {
  Error.stackTraceLimit = Number.POSITIVE_INFINITY
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.startPreciseCoverage', { callCount: true })
  const signer = await awsKmsSigner({ keyId, client })
  await sourcesRun()
  await clientAssertion(signer, { clientId: 'agent', audience: issuer })
  const assertion = { path: sourcesIn(stack), run: await sourcesRun() }
  const authentication = privateKeyJwt(signer)
  await tokenSource({ issuer, clientId: 'agent', authentication, fetch }).token()
  const run = await sourcesRun()
  const tokenRequest = { path: run.filter((file) => file.startsWith('packages/oauth/')), run }
  return { assertion, tokenRequest }
}

const measured = { ...countSources(), ...(await measurePaths()) }
if (process.argv.includes('--json')) console.log(JSON.stringify(measured))
else {
  const { files, lines, importsInCycles, assertion, tokenRequest } = measured
  const list = (/** @type {string[]} */ names) => names.map((name) => `\n  ${name}`).join('')
  const others = assertion.run.filter((file) => !assertion.path.includes(file))
  console.log(
    `${files} source files, ${lines} lines, ${importsInCycles} imports that are part of a cycle

One assertion: ${assertion.path.length} files from clientAssertion to the AWS SDK${list(assertion.path)}
Called by these: ${others.length} files${list(others)}

One token request: ${tokenRequest.path.length} files of packages/oauth run${list(tokenRequest.path)}`,
  )
}
