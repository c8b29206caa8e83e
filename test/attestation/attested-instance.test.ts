import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { rotating, type Signer, signJwt } from '@countersign/core'
import { clientCredentialsProvider } from '@countersign/mcp'
import {
  type AttestationRequest,
  type ClientAuthentication,
  experimentalAttestedInstance,
  experimentalSignAttestation,
  type TokenSourceOptions,
  tokenSource,
} from '@countersign/oauth'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { describe, expect, onTestFinished, test } from 'vitest'
import { closing, es256Signer } from '../oauth/fixtures.ts'
import { startAuthorizationServer } from '../servers/authorization-server.js'
import { startMcpServer } from '../servers/mcp-server.js'

const clientId = 'fleet'
const resource = 'https://api.example.com/invoices'

/** A signer that counts its signatures. */
function counted(signer: Signer) {
  const counts = { signatures: 0 }
  const view: Signer = Object.freeze({
    ...signer,
    sign(...args: Parameters<Signer['sign']>) {
      counts.signatures++
      return signer.sign(...args)
    },
  })
  return { signer: view, counts }
}

type Method = 'attest_jwt_client_auth' | 'attest_jwt_client_auth_dpop'

async function start(method: Method = 'attest_jwt_client_auth', ttlSeconds = 3600) {
  const { signer, counts } = counted(await es256Signer())
  const as = closing(
    await startAuthorizationServer({
      ...{ dpop: 'supported', ttlSeconds },
      attester: { ...signer.publicJwk, alg: signer.alg },
      resources: { [resource]: ['read'] },
      clients: [{ client_id: clientId, token_endpoint_auth_method: method }],
    }),
  )
  const source = (authentication: ClientAuthentication, more: Partial<TokenSourceOptions> = {}) =>
    tokenSource({ issuer: as.issuer, clientId, authentication, resource, retries: 0, ...more })
  return { as, signer, counts, source }
}

const headersOf = (request: { readonly headers: object } | undefined) =>
  (request?.headers ?? {}) as Readonly<Record<string, string>>

describe('an attested instance', () => {
  test('gets tokens from oidc-provider with one signature of the key, and a proof for each request', async () => {
    const { as, signer, counts, source } = await start()
    const instance = experimentalAttestedInstance(signer)
    for (let n = 0; n < 20; n++) await source(instance).token()
    expect(counts.signatures).toBe(1)
    // The first request has no challenge, which oidc-provider demands.
    expect(as.counters.token).toBe(21)
    const sent = as.requests.filter(({ path }) => path === '/token').map(headersOf)
    const attestations = new Set(sent.map((headers) => headers['oauth-client-attestation']))
    expect(attestations.size).toBe(1)
    const [attestation = ''] = attestations
    expect(decodeProtectedHeader(attestation)).toMatchObject({
      typ: 'oauth-client-attestation+jwt',
      kid: signer.kid,
    })
    expect(decodeJwt(attestation)).toMatchObject({ sub: clientId, cnf: { jwk: { crv: 'P-256' } } })
    expect(JSON.stringify(decodeJwt(attestation))).not.toContain('"d"')
    const proofs = sent.map((headers) => headers['oauth-client-attestation-pop'] ?? '')
    expect(new Set(proofs.map((proof) => decodeJwt(proof).jti)).size).toBe(21)
    expect(new Set(proofs.map((proof) => decodeJwt(proof).aud))).toEqual(new Set([as.issuer]))
  })

  test('proves possession by DPoP with the same key, and the token is bound to that key', async () => {
    const { as, signer, counts, source } = await start('attest_jwt_client_auth_dpop')
    const instance = experimentalAttestedInstance(signer, { dpop: true })
    const token = await source(instance, { dpop: { session: instance.session } }).token()
    expect(decodeJwt(token)['cnf']).toEqual({ jkt: await instance.session.jkt() })
    expect(counts.signatures).toBe(1)
    const sent = headersOf(as.requests.filter(({ path }) => path === '/token').at(-1))
    expect(sent['oauth-client-attestation-pop']).toBeUndefined()
    await expect(source(instance).token()).rejects.toThrow(
      /set dpop: \{ session: instance.session \}/,
    )
  })

  test('of a service gets its attestation by a function, and refuses one for another client or key', async () => {
    const { signer, source } = await start()
    const attest = (request: AttestationRequest) => experimentalSignAttestation(signer, request)
    expect(await source(experimentalAttestedInstance(attest)).token()).toMatch(/^ey/)
    const { publicJwk: other } = await es256Signer()
    const wrong: [(request: AttestationRequest) => Promise<string>, RegExp][] = [
      [(request) => attest({ ...request, clientId: 'other' }), /for the client "other"/],
      [(request) => attest({ ...request, jwk: { ...other } }), /is for another key/],
      [(request) => signJwt(signer, { sub: request.clientId }), /not of the type/],
      [async () => 'secret', /not a signed JWT/],
    ]
    for (const [provide, message] of wrong) {
      await expect(source(experimentalAttestedInstance(provide)).token()).rejects.toMatchObject({
        code: 'ERR_OAUTH_ASSERTION',
        message: expect.stringMatching(message),
      })
    }
  })

  test('renews its attestation in the last tenth of its lifetime, once for all requests', async () => {
    const { signer, counts, source } = await start()
    let ahead = 0
    const now = () => Date.now() + ahead
    const instance = experimentalAttestedInstance(signer, { lifetimeSeconds: 100, now })
    await source(instance).token()
    ahead = 89_000
    expect(counts.signatures).toBe(1)
    const failing = source(instance).token()
    // The server's clock is not ahead, so it refuses the proof of the future; the attestation is the same.
    await failing.catch(() => {})
    expect(counts.signatures).toBe(1)
    ahead = 91_000
    await Promise.allSettled([1, 2, 3].map(() => source(instance).token()))
    expect(counts.signatures).toBe(2)
  })

  test('1,000 token requests at once cost one signature', async () => {
    const { as, signer, counts } = await start()
    const instance = experimentalAttestedInstance(signer)
    const server = { ...as.metadata, token_endpoint_auth_methods_supported: [instance.method] }
    const requests = Array.from({ length: 1000 }, async () => {
      const headers = new Headers()
      await instance(server, { client_id: clientId }, new URLSearchParams(), headers)
      return headers.get('oauth-client-attestation-pop')
    })
    expect(new Set(await Promise.all(requests)).size).toBe(1000)
    expect(counts.signatures).toBe(1)
  })

  test('follows a rotating key when the server refuses the attestation', async () => {
    const { as, signer } = await start()
    const old = await es256Signer()
    const keys = [old, signer]
    const rotatingKey = await rotating(async () => keys.shift() ?? signer).ready()
    onTestFinished(() => rotatingKey.close())
    const instance = experimentalAttestedInstance(rotatingKey)
    const source = tokenSource({ issuer: as.issuer, clientId, authentication: instance, resource })
    expect(await source.token()).toMatch(/^ey/)
  })

  test('signs nothing for a server that does not list the method or the algorithms', async () => {
    const { as, signer, counts } = await start()
    const instance = experimentalAttestedInstance(signer)
    const send = (more: object) =>
      instance(
        { ...as.metadata, token_endpoint_auth_methods_supported: [instance.method], ...more },
        { client_id: clientId },
        new URLSearchParams(),
        new Headers(),
      )
    const methods = { token_endpoint_auth_methods_supported: ['private_key_jwt'] }
    await expect(send(methods)).rejects.toMatchObject({ code: 'ERR_OAUTH_METHOD_NOT_ADVERTISED' })
    for (const member of ['signing', 'pop_signing']) {
      const algs = { [`client_attestation_${member}_alg_values_supported`]: ['RS256'] }
      await expect(send(algs)).rejects.toMatchObject({ code: 'ERR_OAUTH_ALG_NOT_ADVERTISED' })
    }
    expect(counts.signatures).toBe(0)
  })
})

describe('oidc-provider refuses', () => {
  /** Sends the headers of an instance to the token endpoint after a change. */
  async function attack(change: (headers: Headers, issuer: string) => Promise<void> | void) {
    const { as, signer, source } = await start()
    const instance = experimentalAttestedInstance(signer)
    await source(instance).token()
    const headers = new Headers()
    const server = { ...as.metadata, token_endpoint_auth_methods_supported: [instance.method] }
    await instance(server, { client_id: clientId }, new URLSearchParams(), headers)
    // Each response brings the challenge of the next request, which this instance has.
    const body = new URLSearchParams({ grant_type: 'client_credentials', resource })
    const send = () => fetch(as.metadata.token_endpoint, { method: 'POST', headers, body })
    await change(headers, as.issuer)
    return { response: await send(), send, signer, as }
  }

  test('nothing of an unchanged request, and its replay', async () => {
    const { response, send } = await attack(() => {})
    expect(response.status).toBe(200)
    expect(await (await send()).json()).toMatchObject({ error: 'invalid_client' })
  })

  test('an attestation by another attester, for another client, expired, or without its proof', async () => {
    const other = await es256Signer()
    const jwk = { ...other.publicJwk }
    const past = () => Date.now() - 7_200_000
    const changes: ((headers: Headers, issuer: string) => Promise<void> | void)[] = [
      async (headers) =>
        headers.set(
          'oauth-client-attestation',
          await experimentalSignAttestation(other, { clientId, jwk }),
        ),
      (headers) => headers.delete('oauth-client-attestation-pop'),
      async (headers, aud) => {
        const claims = { aud, jti: randomUUID(), iat: Math.floor(Date.now() / 1000) }
        const typ = 'oauth-client-attestation-pop+jwt'
        headers.set('oauth-client-attestation-pop', await signJwt(other, claims, { typ }))
      },
    ]
    for (const change of changes) {
      const { response } = await attack(change)
      expect(response.status).toBe(401)
      expect(await response.json()).toMatchObject({ error: 'invalid_client' })
    }
    const { signer, source } = await start()
    const expired = experimentalAttestedInstance((request) =>
      experimentalSignAttestation(signer, { ...request, now: past }),
    )
    await expect(source(expired).token()).rejects.toMatchObject({ error: 'invalid_client' })
  })

  test('a proof for another authorization server', async () => {
    const { as, signer } = await start()
    const instance = experimentalAttestedInstance(signer)
    const evil = {
      issuer: 'https://evil.example',
      token_endpoint: 'https://evil.example/token',
      token_endpoint_auth_methods_supported: [instance.method],
    }
    const headers = new Headers()
    await instance(evil, { client_id: clientId }, new URLSearchParams(), headers)
    const body = new URLSearchParams({ grant_type: 'client_credentials', resource })
    const response = await fetch(as.metadata.token_endpoint, { method: 'POST', headers, body })
    expect(await response.json()).toMatchObject({ error: 'invalid_client' })
  })
})

test('an MCP client authenticates as an attested instance', async () => {
  const { as, signer, counts } = await start()
  const mcp = closing(await startMcpServer({ issuer: as.issuer, sdk: 'v2' }))
  as.registerResource(mcp.url, [])
  const authentication = experimentalAttestedInstance(signer)
  const { fetch } = clientCredentialsProvider({ clientId, authentication, issuer: as.issuer })
  const client = new Client({ name: 'fleet', version: '1.0.0' })
  await client.connect(new StreamableHTTPClientTransport(new URL(mcp.url), { fetch }))
  expect(await client.callTool({ name: 'whoami' })).toMatchObject({ content: [{ text: clientId }] })
  await client.close()
  expect(counts.signatures).toBe(1)
})

test('a private key is no key of an instance', async () => {
  const jwk = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
    format: 'jwk',
  })
  const signing = experimentalSignAttestation(await es256Signer(), { clientId, jwk: { ...jwk } })
  await expect(signing).rejects.toThrow(/has private members/)
})
