import { createPublicKey } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { signerFromUri } from '@countersign/uri'
import { KeyManagementServiceClient } from '@google-cloud/kms'
import { jwtVerify } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { reach } from '../../packages/uri/src/open-gcp-kms.ts'
import { type AwsKms, startAwsKms } from '../servers/aws-kms.js'
import { type AzureKeyVault, startAzureKeyVault } from '../servers/azure-key-vault.js'
import { type GcpKms, startGcpKms } from '../servers/gcp-kms.js'
import { keyPair } from '../support/key-pairs.js'
import { dataUrl, type Outcome, open } from './opening.ts'

let aws: AwsKms
let gcp: GcpKms
let azure: AzureKeyVault

beforeAll(async () => {
  ;[aws, gcp, azure] = await Promise.all([startAwsKms(), startGcpKms(), startAzureKeyVault()])
})

afterEach(() => {
  vi.unstubAllEnvs()
  aws.forget()
  gcp.forget()
  azure.mend()
})

afterAll(async () => {
  await Promise.all([aws?.close(), gcp?.close(), azure?.close()])
})

/** That every outcome is an assertion of the first key pair of a kind, and with this header. */
async function expectSigned(outcomes: Outcome[], header: object = {}, nth = 0): Promise<void> {
  const publicKey = createPublicKey(keyPair('P-256', nth).privateKey)
  for (const { assertion, ...failed } of outcomes) {
    expect(failed).toEqual({})
    const { protectedHeader } = await jwtVerify(String(assertion), publicKey)
    expect(protectedHeader).toMatchObject({ alg: 'ES256', ...header })
  }
}

const azureUri = (id: string) => id.replace('https:', 'azurekms:')
const named = '?alg=ES256&kid=the%20kid'

describe('awskms:', () => {
  it('names a key by its ID, an alias, and the ARN of either', async () => {
    const key = aws.createKey('P-256', { nth: 0 })
    const aliasArn = aws.setAlias('alias/Team/Agent_1', key)
    const uris = [key.id, 'alias/Team/Agent_1', key.arn, aliasArn].map((id) => `awskms:///${id}`)
    await expectSigned(await open(aws.env, ...uris))
    const other = aws.createKey('P-256', { nth: 1 })
    await expectSigned(await open(aws.env, `awskms:///${other.arn}${named}`), { kid: 'the kid' }, 1)
  })

  it('says the region by its query or by an ARN, and misses it otherwise', async () => {
    const key = aws.createKey('P-256', { nth: 0 })
    const { AWS_REGION: _, ...env } = aws.env
    const byQuery = `awskms:///${key.id}?region=${aws.region}`
    await expectSigned(await open(env, byQuery, `awskms:///${key.arn}`))
    expect(await open(env, `awskms:///${key.id}`)).toMatchObject([
      { code: 'ERR_SIGNER_CONFIG', message: expect.stringContaining('region') },
    ])
  })

  it('comes with the timeout and the signal of the options', async () => {
    for (const [name, value] of Object.entries(aws.env)) vi.stubEnv(name, value)
    const uri = `awskms:///${aws.createKey('P-256').arn}`
    aws.fail('hang')
    await expect(signerFromUri(uri, { timeoutSeconds: 0.2 })).rejects.toMatchObject({
      code: 'ERR_SIGNER_TIMEOUT',
    })
    const reason = new Error('changed my mind')
    const controller = new AbortController()
    const opening = signerFromUri(uri, { signal: controller.signal })
    setTimeout(() => controller.abort(reason), 50)
    await expect(opening).rejects.toBe(reason)
  })
})

describe('gcpkms:', () => {
  it('names a version of a key, or a key for its newest one', async () => {
    const key = gcp.createKey({ kind: 'P-256', nth: 1 })
    const version = gcp.createVersion(key, { kind: 'P-256', nth: 0 })
    const query = `${named}&endpoint=${gcp.url}`
    const uris = [`gcpkms://${version}${query}`, `gcpkms://${key}${query}`]
    await expectSigned(await open({}, ...uris), { kid: 'the kid' })
    const first = version.replace(/2$/, '1')
    await expectSigned(await open({}, `gcpkms://${first}?endpoint=${gcp.url}`), {}, 1)
  })

  it('asks for no credentials and sends none, for a server on this machine', async () => {
    const seen: IncomingHttpHeaders[] = []
    const server = createServer(({ headers }, response) => {
      seen.push(headers)
      response.writeHead(404, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ error: { code: 404, message: 'none', status: 'NOT_FOUND' } }))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const env = { GOOGLE_APPLICATION_CREDENTIALS: '/nonexistent', GOOGLE_CLOUD_PROJECT: 'p' }
    const name = gcp.createKey({ kind: 'P-256' })
    const [outcome] = await open(env, `gcpkms://${name}/cryptoKeyVersions/1?endpoint=${endpoint}`)
    server.close()
    expect(outcome).toMatchObject({ code: 'ERR_SIGNER_KEY_NOT_FOUND', backend: 'gcp-kms' })
    expect(seen.length).toBeGreaterThan(0)
    for (const headers of seen) {
      expect(headers).not.toHaveProperty('authorization')
      expect(headers).not.toHaveProperty('x-goog-user-project')
    }
  })

  it('names another endpoint of Google to the SDK', async () => {
    const asked: string[] = []
    const client = new KeyManagementServiceClient({
      ...reach(new URL('https://cloudkms.europe-west1.rep.googleapis.com')),
      // Over HTTP, of which all can be seen; and without a search for credentials.
      fallback: true,
      authClient: {
        universeDomain: 'googleapis.com',
        getRequestHeaders: async () => new Headers(),
        async fetch(url: string) {
          asked.push(new URL(url).origin)
          throw new Error('nothing leaves this machine')
        },
      } as never,
    })
    const name = 'projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1'
    await expect(client.getPublicKey({ name })).rejects.toThrow('leaves')
    expect(asked).toEqual(['https://cloudkms.europe-west1.rep.googleapis.com'])
  })

  it('comes with the timeout and the signal of the options', async () => {
    const uri = `gcpkms://${gcp.createKey({ kind: 'P-256' })}?endpoint=${gcp.url}`
    gcp.fail('hang')
    await expect(signerFromUri(uri, { timeoutSeconds: 0.2 })).rejects.toMatchObject({
      code: 'ERR_SIGNER_TIMEOUT',
    })
    const reason = new Error('changed my mind')
    const controller = new AbortController()
    const opening = signerFromUri(uri, { signal: controller.signal })
    setTimeout(() => controller.abort(reason), 50)
    await expect(opening).rejects.toBe(reason)
  })
})

describe('azurekms:', () => {
  it('names a version of a key, or a key for its newest one', async () => {
    const old = azure.createKey('Billing-Agent', { nth: 1 })
    const { id, versionlessId } = azure.createKey('Billing-Agent', { nth: 0 })
    const uris = [azureUri(id), azureUri(versionlessId)].map((uri) => `${uri}${named}`)
    await expectSigned(await open(azure.env, ...uris), { kid: 'the kid' })
    await expectSigned(await open(azure.env, azureUri(old.id)), {}, 1)
  })

  it('takes the credential of the options before the token of the environment', async () => {
    const uri = azureUri(azure.createKey('agent').id)
    const env = { ...azure.env, COUNTERSIGN_AZURE_TOKEN: 'CANARY', AZURE_CREDENTIAL: azure.token }
    await expectSigned(await open(env, uri))
  })

  it('is denied with a wrong token, which is not shown', async () => {
    const uri = azureUri(azure.createKey('agent').id)
    const outcomes = await open({ ...azure.env, COUNTERSIGN_AZURE_TOKEN: 'CANARY' }, uri)
    expect(outcomes).toMatchObject([{ code: 'ERR_SIGNER_ACCESS_DENIED' }])
    expect(JSON.stringify(outcomes)).not.toContain('CANARY')
  })

  it('without either wants the default credential, and says how to install it', async () => {
    const uri = azureUri(azure.createKey('agent').id)
    const { COUNTERSIGN_AZURE_TOKEN: _, ...env } = azure.env
    for (const token of [undefined, '']) {
      const all = token === undefined ? env : { ...env, COUNTERSIGN_AZURE_TOKEN: token }
      expect(await open(all, uri)).toEqual([
        {
          code: 'ERR_SIGNER_CONFIG',
          backend: 'uri',
          message:
            'The package @azure/identity is not installed; run "npm install @azure/identity"',
        },
      ])
    }
  })

  it('takes the default credential where it is installed', async () => {
    const uri = azureUri(azure.createKey('agent').id)
    const { COUNTERSIGN_AZURE_TOKEN: token, ...env } = azure.env
    // The package itself is for Node.js 22 and later, and would look for credentials all over the machine.
    const identity = `export class DefaultAzureCredential {
      getToken = async () => ({ token: ${JSON.stringify(token)}, expiresOnTimestamp: Date.now() + 3_600_000 })
    }`
    const hooks = `export const resolve = (specifier, context, next) =>
      specifier === '@azure/identity'
        ? { url: ${JSON.stringify(dataUrl(identity))}, shortCircuit: true }
        : next(specifier, context)`
    const register = `import { register } from 'node:module'
      register(${JSON.stringify(dataUrl(hooks))})`
    const options = { ...env, NODE_OPTIONS: `--import ${dataUrl(register)}` }
    await expectSigned(await open(options, uri))
  })
})
