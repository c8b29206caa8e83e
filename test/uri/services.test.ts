import { createPublicKey } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseKeyUri, signerFromUri } from '@countersign/uri'
import { KeyManagementServiceClient } from '@google-cloud/kms'
import { jwtVerify } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { clientOptionsFor as azureClientOptions } from '../../packages/uri/src/schemes/azure-key-vault.ts'
import { clientOptionsFor as gcpClientOptions } from '../../packages/uri/src/schemes/gcp-kms.ts'
import { type AwsKms, startAwsKms } from '../servers/aws-kms.js'
import { type AzureKeyVault, startAzureKeyVault } from '../servers/azure-key-vault.js'
import { type GcpKms, startGcpKms } from '../servers/gcp-kms.js'
import { keyPair } from '../support/key-pairs.js'
import { until } from '../support/until.js'
import { type Outcome, open } from './opening.ts'

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
  azure.reset()
})

afterAll(async () => {
  await Promise.all([aws?.close(), gcp?.close(), azure?.close()])
})

/** Checks that every outcome is an assertion by this key pair, with this header. */
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

  it('names the region in its query or in an ARN, and reports a missing one', async () => {
    const key = aws.createKey('P-256', { nth: 0 })
    const { AWS_REGION: _, ...env } = aws.env
    const byQuery = `awskms:///${key.id}?region=${aws.region}`
    await expectSigned(await open(env, byQuery, `awskms:///${key.arn}`))
    expect(await open(env, `awskms:///${key.id}`)).toMatchObject([
      { code: 'ERR_SIGNER_CONFIG', message: expect.stringContaining('region') },
    ])
  })

  it('obeys the timeout and the signal of the options', async () => {
    for (const [name, value] of Object.entries(aws.env)) vi.stubEnv(name, value)
    const uri = `awskms:///${aws.createKey('P-256').arn}`
    aws.fail('hang')
    await expect(signerFromUri(uri, { timeoutSeconds: 0.2 })).rejects.toMatchObject({
      code: 'ERR_SIGNER_TIMEOUT',
      message: expect.stringContaining('0.2'),
    })
    const reason = new Error('changed my mind')
    const controller = new AbortController()
    const asked = aws.requests.length
    const opening = signerFromUri(uri, { signal: controller.signal })
    await until(() => aws.requests.length > asked)
    controller.abort(reason)
    await expect(opening).rejects.toBe(reason)
    await until(() => aws.requests.every(({ cut }) => cut))
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

  it('passes another endpoint of Google to the SDK', async () => {
    const asked: string[] = []
    const client = new KeyManagementServiceClient({
      ...gcpClientOptions(new URL('https://cloudkms.europe-west1.rep.googleapis.com')),
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

  it('obeys the timeout and the signal of the options', async () => {
    const uri = `gcpkms://${gcp.createKey({ kind: 'P-256' })}?endpoint=${gcp.url}`
    gcp.fail('hang')
    await expect(signerFromUri(uri, { timeoutSeconds: 0.2 })).rejects.toMatchObject({
      code: 'ERR_SIGNER_TIMEOUT',
      message: expect.stringContaining('0.2'),
    })
    const reason = new Error('changed my mind')
    const controller = new AbortController()
    const opening = signerFromUri(uri, { signal: controller.signal })
    const asked = gcp.requests.length
    await until(() => gcp.requests.length > asked)
    controller.abort(reason)
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

  it('obeys the timeout of the options', async () => {
    const uri = azureUri(azure.createKey('agent').id)
    azure.fail('hang')
    expect(await open({ ...azure.env, TIMEOUT_SECONDS: '0.7' }, uri)).toMatchObject([
      { code: 'ERR_SIGNER_TIMEOUT', message: expect.stringContaining('0.7') },
    ])
  })

  it('lets the SDK check the domain of a challenge, except for a server on this machine', () => {
    const optionsFor = (host: string) => {
      const uri = parseKeyUri(`azurekms://${host}/keys/k`)
      return uri.scheme === 'azurekms' && azureClientOptions(uri.keyId)
    }
    for (const host of ['v.vault.azure.net', 'h.managedhsm.azure.net', 'v.vault.azure.cn']) {
      expect(optionsFor(host)).toBeUndefined()
    }
    for (const host of ['127.0.0.1:8443', 'localhost', '[::1]:1']) {
      expect(optionsFor(host)).toEqual({ disableChallengeResourceVerification: true })
    }
  })

  it('is denied with a wrong token, which is not shown', async () => {
    const uri = azureUri(azure.createKey('agent').id)
    const outcomes = await open({ ...azure.env, COUNTERSIGN_AZURE_TOKEN: 'CANARY' }, uri)
    expect(outcomes).toMatchObject([{ code: 'ERR_SIGNER_ACCESS_DENIED' }])
    expect(JSON.stringify(outcomes)).not.toContain('CANARY')
  })

  it('uses the default credential without either, here that of the command az', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-az-'))
    const { COUNTERSIGN_AZURE_TOKEN: accessToken, ...env } = azure.env
    const answer = { accessToken, expiresOn: '2100-01-01 00:00:00.000000', expires_on: 4102444800 }
    writeFileSync(
      join(folder, 'az'),
      `#!/bin/sh\necho "$@" >> ${folder}/asked\necho '${JSON.stringify(answer)}'\n`,
      { mode: 0o755 },
    )
    // Otherwise it searches the whole machine and its metadata address for credentials.
    const one = { AZURE_TOKEN_CREDENTIALS: 'AzureCliCredential', PATH: `${folder}:/usr/bin:/bin` }
    const uri = azureUri(azure.createKey('agent').id)
    await expectSigned(await open({ ...env, ...one }, uri))
    await expectSigned(await open({ ...env, ...one, COUNTERSIGN_AZURE_TOKEN: '' }, uri))
    expect(readFileSync(join(folder, 'asked'), 'utf8')).toContain('https://vault.azure.net')
    rmSync(folder, { recursive: true })
  })
})
