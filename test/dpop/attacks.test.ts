import { dpopSession, privateKeyJwt } from '@countersign/oauth'
import { describe, expect, test } from 'vitest'
import { type DpopServers, startDpopServers } from './servers.ts'

interface Request {
  readonly authorization?: string
  readonly proof: string
  readonly method?: string
  readonly path?: string
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

  test('a stale nonce', async () => {
    const servers = await startDpopServers()
    const { session, token, proof } = await bound(servers)
    session.observeNonce(new Response(null, { headers: { 'dpop-nonce': 'old' } }), servers.url)
    servers.resource.requireNonce('new')
    const refused = await send(servers, { authorization: `DPoP ${token}`, proof: await proof() })
    expect(refused).toBe('401 use_dpop_nonce: nonce')
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
