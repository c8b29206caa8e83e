import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { root } from '../../scripts/workspace.mjs'
import { type AwsKms, startAwsKms } from '../servers/aws-kms.js'
import { type AzureKeyVault, startAzureKeyVault } from '../servers/azure-key-vault.js'
import { type GcpKms, startGcpKms } from '../servers/gcp-kms.js'
import { createSoftHsm, findSoftHsm } from '../support/softhsm.js'

const folder = join(root, 'examples/kms-agent')

async function node(args: readonly string[], env: Readonly<Record<string, string>>) {
  const options = { cwd: folder, env: { ...process.env, ...env } }
  const { stdout } = await promisify(execFile)(process.execPath, args, options)
  return stdout
}

/** Runs the agent with a key URI. */
const agent = (uri: string, env: Readonly<Record<string, string>> = {}) =>
  node(['index.js'], { ...env, COUNTERSIGN_KEY: uri })

/** Runs the file of a vendor, with the client options that a server on this machine needs in place of its own. */
async function vendorFile(
  file: string,
  env: Readonly<Record<string, string>>,
  replaced = '',
  replacement = '',
) {
  const source = readFileSync(join(folder, file), 'utf8')
  expect(source).toContain(replaced)
  const program = source.replace(replaced, replacement)
  return node(['--input-type=module', '--eval', program], env)
}

let aws: AwsKms
let gcp: GcpKms
let azure: AzureKeyVault

beforeAll(async () => {
  ;[aws, gcp, azure] = await Promise.all([startAwsKms(), startGcpKms(), startAzureKeyVault()])
})

afterAll(async () => {
  await Promise.all([aws?.close(), gcp?.close(), azure?.close()])
})

const authorized = /^The key \S+ \(ES256\) authorized example-agent at \S+\n$/
const signed = /^The key \S+ \(ES256\) signed an assertion for https:\/\/as.example.com\n$/

describe('the example kms-agent opens a key', () => {
  test('in AWS KMS by its URI, and with its own client', async () => {
    const { arn } = aws.createKey('P-256')
    expect(await agent(`awskms:///${arn}`, aws.env)).toMatch(authorized)
    expect(await vendorFile('aws-kms.js', { ...aws.env, AWS_KMS_KEY: arn })).toMatch(signed)
  })

  test('in Google Cloud KMS by its URI, and with its own client', async () => {
    const name = gcp.createKey({ kind: 'P-256' })
    expect(await agent(`gcpkms://${name}?endpoint=${gcp.url}`)).toMatch(authorized)
    const { hostname, port } = new URL(gcp.url)
    const client = `new KeyManagementServiceClient({
      fallback: true,
      protocol: 'http',
      apiEndpoint: '${hostname}',
      port: ${port},
      projectId: 'none',
      authClient: { universeDomain: 'googleapis.com', getRequestHeaders: async () => new Headers(), fetch },
    })`
    const plain = 'new KeyManagementServiceClient()'
    expect(await vendorFile('gcp-kms.js', { GCP_KMS_KEY: name }, plain, client)).toMatch(signed)
  })

  test('in Azure Key Vault by its URI, and with its own credential', async () => {
    const { id } = azure.createKey('agent')
    const env = { ...azure.env, AZURE_TOKEN: azure.token, AZURE_KEY_ID: id }
    const uri = id.replace('https:', 'azurekms:')
    expect(await agent(uri, { ...env, COUNTERSIGN_AZURE_TOKEN: azure.token })).toMatch(authorized)
    const options = 'clientOptions: {'
    const local = `${options} disableChallengeResourceVerification: true,`
    expect(await vendorFile('azure-key-vault.js', env, options, local)).toMatch(signed)
  })

  test('on a PKCS#11 token by its URI, and with its own options', async ({ skip }) => {
    if (findSoftHsm() === undefined) skip('missing: SoftHSM is not installed')
    const hsm = createSoftHsm()
    try {
      const token = await hsm.createToken('agents')
      await token.generateKey({ type: 'EC:prime256v1', label: 'agent', id: '01' })
      const pinFile = join(hsm.folder, 'pin')
      writeFileSync(pinFile, token.pin, { mode: 0o600 })
      const query = `module-path=${hsm.module}&pin-source=file:${pinFile}`
      expect(await agent(`pkcs11:token=agents;object=agent?${query}`, hsm.env)).toMatch(authorized)
      const env = { ...hsm.env, PKCS11_MODULE: hsm.module, PKCS11_PIN_FILE: pinFile }
      expect(await vendorFile('pkcs11.js', env)).toMatch(signed)
    } finally {
      hsm.remove()
    }
  })
})
