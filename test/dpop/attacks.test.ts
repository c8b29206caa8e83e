import { dpopSession, privateKeyJwt } from '@countersign/oauth'
import { describe, expect, test } from 'vitest'
import { closing, refusal } from '../oauth/fixtures.ts'
import { startScriptedServer } from '../servers/scripted-server.js'
import { type DpopServers, startDpopServers } from './servers.ts'

interface Request {
  readonly authorization?: string
  readonly proof: string
  readonly method?: string
  readonly path?: string
}

/** The proof with the public key of another session, whose private key did not sign it. */
async function forged(proof: string): Promise<string> {
  const [, payload, signature] = proof.split('.')
  const other = await dpopSession().buildProof({ htm: 'GET', htu: 'https://other.test' })
  return [other.split('.')[0], payload, signature].join('.')
}

/** A token that was granted with a proof of a session. */
async function bound(servers: DpopServers) {
  const session = dpopSession()
  const token = await servers.source({ dpop: { session } }).token()
  const proof = (changes: object = {}) =>
    session.buildProof({ htm: 'GET', htu: servers.url, accessToken: token, ...changes })
  return { session, token, proof }
}

async function send(
  { url }: DpopServers,
  { authorization = '', proof, method = 'GET', path = '' }: Request,
): Promise<string> {
  const response = await fetch(url + path, { method, headers: { authorization, dpop: proof } })
  const said = /error="(\w+)"/.exec(response.headers.get('www-authenticate') ?? '')?.[1]
  return response.ok ? 'accepted' : `${response.status} ${said}: ${await response.text()}`
}

describe('the resource refuses', () => {
  test('a proof that is sent twice', async () => {
    const servers = await startDpopServers()
    const { token, proof } = await bound(servers)
    const request = { authorization: `DPoP ${token}`, proof: await proof() }
    expect(await send(servers, request)).toBe('accepted')
    expect(await send(servers, request)).toBe('401 invalid_dpop_proof: replayed')
  })

  test('a proof for another method, URL or token', async () => {
    const servers = await startDpopServers()
    const { token, proof } = await bound(servers)
    const authorization = `DPoP ${token}`
    const one = { authorization, proof: await proof(), method: 'POST' }
    expect(await send(servers, one)).toBe('401 invalid_dpop_proof: htm')
    const other = { authorization, proof: await proof(), path: '/other' }
    expect(await send(servers, other)).toBe('401 invalid_dpop_proof: htu')
    const third = { authorization, proof: await proof({ accessToken: 'another' }) }
    expect(await send(servers, third)).toBe('401 invalid_dpop_proof: ath')
  })

  test('an old proof', async () => {
    const servers = await startDpopServers()
    const session = dpopSession(undefined, { now: () => Date.now() - 120_000 })
    const { token } = await bound(servers)
    const proof = await session.buildProof({ htm: 'GET', htu: servers.url, accessToken: token })
    const refused = await send(servers, { authorization: `DPoP ${token}`, proof })
    expect(refused).toBe('401 invalid_dpop_proof: ERR_JWT_EXPIRED')
  })

  test('a proof with a public key whose private key did not sign it', async () => {
    const servers = await startDpopServers()
    const { token, proof } = await bound(servers)
    const authorization = `DPoP ${token}`
    const refused = await send(servers, { authorization, proof: await forged(await proof()) })
    expect(refused).toBe('401 invalid_dpop_proof: ERR_JWS_SIGNATURE_VERIFICATION_FAILED')
  })

  test('the token of one key with the proof of another', async () => {
    const servers = await startDpopServers()
    const { token } = await bound(servers)
    const request = { htm: 'GET', htu: servers.url, accessToken: token }
    const proof = await dpopSession().buildProof(request)
    const refused = await send(servers, { authorization: `DPoP ${token}`, proof })
    expect(refused).toBe('401 invalid_token: the token is bound to another key')
  })

  test('a bound token as a bearer token', async () => {
    const servers = await startDpopServers()
    const { token, proof } = await bound(servers)
    const refused = await send(servers, { authorization: `Bearer ${token}`, proof: await proof() })
    expect(refused).toContain('401')
  })

  test('a proof without a nonce, or with a stale one', async () => {
    const servers = await startDpopServers()
    const { session, token, proof } = await bound(servers)
    servers.resource.requireNonce('new')
    const authorization = `DPoP ${token}`
    const missing = await send(servers, { authorization, proof: await proof() })
    expect(missing).toBe('401 use_dpop_nonce: nonce')
    session.observeNonce(new Response(null, { headers: { 'dpop-nonce': 'old' } }), servers.url)
    const stale = await send(servers, { authorization, proof: await proof() })
    expect(stale).toBe('401 use_dpop_nonce: nonce')
  })
})

describe('oidc-provider refuses a token request', () => {
  async function request(servers: DpopServers, proof: string) {
    const { as, signer } = servers
    const { token_endpoint } = as.metadata
    const metadata = {
      ...as.metadata,
      token_endpoint_auth_methods_supported: ['private_key_jwt'],
    }
    const body = new URLSearchParams({ grant_type: 'client_credentials' })
    const headers = new Headers({ dpop: proof })
    await privateKeyJwt(signer)(metadata, { client_id: 'agent' }, body, headers)
    const response = await fetch(token_endpoint, { method: 'POST', headers, body })
    const { error } = (await response.json()) as { error?: string }
    return error ?? 'granted'
  }

  test.each([
    ['with a proof for another URL', { htu: 'https://as.test/token' }, 'invalid_dpop_proof'],
    ['with a proof for another method', { htm: 'GET' }, 'invalid_dpop_proof'],
    ['with nothing wrong, which is granted', {}, 'granted'],
  ])('%s', async (_how, changes, outcome) => {
    const servers = await startDpopServers()
    const htu = servers.as.metadata.token_endpoint
    const proof = await dpopSession().buildProof({ htm: 'POST', htu, ...changes })
    expect(await request(servers, proof)).toBe(outcome)
  })

  test('with a proof that was sent before', async () => {
    const servers = await startDpopServers()
    const htu = servers.as.metadata.token_endpoint
    const proof = await dpopSession().buildProof({ htm: 'POST', htu })
    expect(await request(servers, proof)).toBe('granted')
    expect(await request(servers, proof)).toBe('invalid_grant')
  })

  test('with a proof whose public key did not sign it', async () => {
    const servers = await startDpopServers()
    const htu = servers.as.metadata.token_endpoint
    const proof = await dpopSession().buildProof({ htm: 'POST', htu })
    expect(await request(servers, await forged(proof))).toBe('invalid_dpop_proof')
  })

  test('with an old proof', async () => {
    const servers = await startDpopServers()
    const htu = servers.as.metadata.token_endpoint
    const old = dpopSession(undefined, { now: () => Date.now() - 3600_000 })
    // A server that has nonces asks for one, which says more about the age than the clock of the client.
    expect(await request(servers, await old.buildProof({ htm: 'POST', htu }))).toBe(
      'use_dpop_nonce',
    )
  })

  test('without a nonce, or with a stale one', async () => {
    const servers = await startDpopServers('nonce')
    const htu = servers.as.metadata.token_endpoint
    const session = dpopSession()
    const proof = () => session.buildProof({ htm: 'POST', htu })
    expect(await request(servers, await proof())).toBe('use_dpop_nonce')
    session.observeNonce(new Response(null, { headers: { 'dpop-nonce': 'stale' } }), htu)
    expect(await request(servers, await proof())).toBe('use_dpop_nonce')
  })
})

describe('a client with DPoP', () => {
  test('does not send its token as a bearer token to a resource that asks for one', async () => {
    const servers = await startDpopServers()
    const seen: unknown[] = []
    const api = closing(
      await startScriptedServer(({ headers }) => {
        seen.push([String(headers['authorization']).split(' ')[0], headers['dpop'] !== undefined])
        return new Response(null, {
          status: 401,
          headers: { 'www-authenticate': 'Bearer error="invalid_token"' },
        })
      }),
    )
    servers.as.registerResource(api.url, [])
    const source = servers.source({ resource: api.url })
    expect((await source.fetch(api.url)).status).toBe(401)
    expect((await source.fetch(api.url)).status).toBe(401)
    expect(new Set(seen.map(String))).toEqual(new Set(['DPoP,true']))
  })

  test('replaces a proof that the caller puts on a request', async () => {
    const servers = await startDpopServers()
    const headers = { dpop: 'of the caller', authorization: 'Bearer of-the-caller' }
    expect((await servers.source().fetch(servers.url, { headers })).status).toBe(200)
  })

  test('sends no proof to a server that it has no token for', async () => {
    const servers = await startDpopServers()
    const other = closing(await startScriptedServer(() => new Response('other')))
    await servers.source().fetch(other.url)
    expect(other.requests[0]?.headers).not.toHaveProperty('dpop')
    expect(servers.as.counters.token).toBe(0)
  })

  test('refuses a bearer token, so that a server cannot take the binding away', async () => {
    const servers = await startDpopServers('off')
    const error = await refusal(() => servers.source().fetch(servers.url))
    expect(error.code).toBe('ERR_OAUTH_TOKEN_TYPE')
    expect(servers.api.requests).toEqual([])
  })
})
