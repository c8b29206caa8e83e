import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { startAwsKms } from '../servers/aws-kms.js'
import { startAzureKeyVault } from '../servers/azure-key-vault.js'
import { startConnectProxy, startTlsFront } from '../servers/connect-proxy.js'
import { startGcpKms } from '../servers/gcp-kms.js'
import { tlsIdentity } from '../support/certificate.js'

const here = fileURLToPath(new URL('.', import.meta.url))

/** A proxy that opens tunnels to one server, by the name `localhost`. */
async function startProxy(port: string | number) {
  const target = `localhost:${port}`
  const proxy = await startConnectProxy({ [target]: `http://127.0.0.1:${port}` })
  onTestFinished(() => proxy.close())
  return { ...proxy, target, targets: () => [...new Set(proxy.tunnels.map((one) => one.target))] }
}

/**
 * Runs a program with the built packages and the vendor's SDK, in a separate process, because some SDKs read the
 * environment once. The program makes a `signer`.
 */
async function signIn(program: string, env: Readonly<Record<string, string>>): Promise<string> {
  const source = `${program}\nconsole.log((await signer.sign(Buffer.from('x'))).length); process.exit()`
  const { PATH = '', HOME = '' } = process.env
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--no-warnings', '--input-type=module', '--eval', source],
    { cwd: here, env: { PATH, HOME, ...env }, timeout: 25_000 },
  )
  return stdout.trim()
}

/** AWS KMS behind TLS. */
async function startAws() {
  const kms = await startAwsKms()
  onTestFinished(() => kms.close())
  const identity = tlsIdentity()
  const front = await startTlsFront(kms.url, identity)
  onTestFinished(() => front.close())
  const folder = mkdtempSync(join(tmpdir(), 'countersign-proxy-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const ca = join(folder, 'ca.pem')
  writeFileSync(ca, identity.ca)
  const { port } = new URL(front.url)
  const env = {
    ...kms.env,
    NODE_EXTRA_CA_CERTS: ca,
    AWS_ENDPOINT_URL_KMS: `https://localhost:${port}`,
  }
  return { port, env, keyId: kms.createKey('P-256').arn }
}

test('AWS KMS is reached through a proxy by a request handler with an agent', async () => {
  const { port, env, keyId } = await startAws()
  const proxy = await startProxy(port)
  const program = `
    import { KMSClient } from '@aws-sdk/client-kms'
    import { awsKmsSigner } from '@countersign/aws-kms'
    import { HttpsProxyAgent } from 'https-proxy-agent'

    const httpsAgent = new HttpsProxyAgent(process.env.HTTPS_PROXY)
    const client = new KMSClient({ requestHandler: { httpsAgent } })
    const signer = await awsKmsSigner({ keyId: '${keyId}', client })`
  expect(await signIn(program, { ...env, HTTPS_PROXY: proxy.url })).toBe('64')
  expect(proxy.targets()).toEqual([proxy.target])
})

test('the AWS SDK does not use a proxy of the environment without further settings', async () => {
  const { port, env, keyId } = await startAws()
  const proxy = await startProxy(port)
  const program = `
    import { awsKmsSigner } from '@countersign/aws-kms'
    const signer = await awsKmsSigner({ keyId: '${keyId}' })`
  const variables = { HTTPS_PROXY: proxy.url, https_proxy: proxy.url }
  expect(await signIn(program, { ...env, ...variables })).toBe('64')
  expect(proxy.targets()).toEqual([])
})

const googleProgram = (port: number, name: string, client: string) => `
  import { createRequire } from 'node:module'
  import { gcpKmsSigner } from '@countersign/gcp-kms'

  const require = createRequire(createRequire(process.cwd() + '/').resolve('@google-cloud/kms'))
  const { grpc, googleAuthLibrary } = require('google-gax')
  const authClient = new googleAuthLibrary.OAuth2Client()
  authClient.setCredentials({ access_token: 'x', expiry_date: Date.now() + 3_600_000 })
  const place = { apiEndpoint: 'localhost', port: ${port}, projectId: 'test', authClient }
  const signer = await gcpKmsSigner({ name: '${name}', clientOptions: { ...place, ${client} } })`

async function startGoogle() {
  const kms = await startGcpKms()
  onTestFinished(() => kms.close())
  return { port: kms.port, name: `${kms.createKey({ kind: 'P-256' })}/cryptoKeyVersions/1` }
}

test.each([
  ['https_proxy', true],
  ['grpc_proxy', true],
  ['HTTPS_PROXY', false],
] as const)(
  'Google Cloud KMS over gRPC, with %s: through the proxy is %s',
  async (variable, isUsed) => {
    const { port, name } = await startGoogle()
    const proxy = await startProxy(port)
    const program = googleProgram(port, name, 'sslCreds: grpc.credentials.createInsecure()')
    expect(await signIn(program, { [variable]: proxy.url })).toBe('64')
    expect(proxy.targets()).toEqual(isUsed ? [proxy.target] : [])
  },
)

test('Google Cloud KMS over REST does not use a proxy of the environment', async () => {
  const { port, name } = await startGoogle()
  const proxy = await startProxy(port)
  const program = googleProgram(port, name, "fallback: true, protocol: 'http'")
  const variables = { HTTPS_PROXY: proxy.url, https_proxy: proxy.url, grpc_proxy: proxy.url }
  expect(await signIn(program, variables)).toBe('64')
  expect(proxy.targets()).toEqual([])
})

test.each([
  ['HTTPS_PROXY', ''],
  ['https_proxy', ''],
  [
    'none of them, but proxyOptions',
    "proxyOptions: { host: 'http://127.0.0.1', port: Number(process.env.PROXY_PORT) }",
  ],
])('Azure Key Vault is reached through a proxy with %s', async (variable, options) => {
  const vault = await startAzureKeyVault()
  onTestFinished(() => vault.close())
  const { port } = new URL(vault.url)
  const keyId = vault.createKey('agent').id.replace('127.0.0.1', 'localhost')
  const proxy = await startProxy(port)
  const program = `
    import { azureKeyVaultSigner } from '@countersign/azure-key-vault'

    const token = process.env.COUNTERSIGN_AZURE_TOKEN
    const credential = { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_600_000 }) }
    const clientOptions = { disableChallengeResourceVerification: true, ${options} }
    const signer = await azureKeyVaultSigner({ keyId: '${keyId}', credential, clientOptions })`
  const place = options === '' ? { [variable]: proxy.url } : { PROXY_PORT: new URL(proxy.url).port }
  expect(await signIn(program, { ...vault.env, ...place })).toBe('64')
  expect(proxy.targets()).toEqual([proxy.target])
})
