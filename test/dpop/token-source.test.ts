import { dpopSession, privateKeyJwt, tokenSource } from '@countersign/oauth'
import { decodeJwt } from 'jose'
import { expect, test } from 'vitest'
import { closing, es256Signer, refusal, signaturesOf } from '../oauth/fixtures.ts'
import { startScriptedServer } from '../servers/scripted-server.js'
import { startDpopServers } from './servers.ts'

test('a token is bound to the key of the proofs, and the resource accepts it with a proof', async () => {
  const { source, url, resource } = await startDpopServers()
  const session = dpopSession()
  const bound = source({ dpop: { session } })
  const response = await bound.fetch(`${url}/items?page=2`)
  expect(await response.text()).toBe('welcome')
  const { token_type, access_token } = await bound.tokenResponse()
  expect(token_type).toBe('dpop')
  expect(decodeJwt(access_token)['cnf']).toEqual({ jkt: await session.jkt() })
  expect(decodeJwt(resource.proofs[0] ?? '')).toMatchObject({ htm: 'GET', htu: `${url}/items` })
})

test('each token source has a key of its own', async () => {
  const { source } = await startDpopServers()
  const bound = async () => decodeJwt(await source().token())['cnf']
  expect(await bound()).not.toEqual(await bound())
})

test('any signer can be the key', async () => {
  const { source, url } = await startDpopServers()
  const signer = await es256Signer()
  const bound = source({ dpop: signer })
  expect((await bound.fetch(url)).status).toBe(200)
  expect(decodeJwt(await bound.token())['cnf']).toEqual({ jkt: signer.kid })
})

test('a server that asks for a nonce gets one more token request, with a new assertion', async () => {
  const { source, url, as, signer } = await startDpopServers('nonce')
  const bound = source()
  const signatures = await signaturesOf(async () => {
    expect((await bound.fetch(url)).status).toBe(200)
  })
  expect(as.counters.token).toBe(2)
  expect(signatures.filter(({ kid }) => kid === signer.kid)).toHaveLength(2)
  bound.invalidate(await bound.token())
  await bound.token()
  expect(as.counters.token).toBe(3)
})

test('a resource that asks for a nonce gets each request once more, and the next ones with the nonce', async () => {
  const { source, url, api, resource, as } = await startDpopServers()
  resource.requireNonce('first')
  const bound = source()
  const post = { method: 'POST', body: '{}' }
  expect((await bound.fetch(url, post)).status).toBe(200)
  expect(api.requests.map(({ method, body }) => method + body)).toEqual(['POST{}', 'POST{}'])
  expect((await bound.fetch(url, post)).status).toBe(200)
  expect(api.requests).toHaveLength(3)
  expect(as.counters.token).toBe(1)
})

test('the nonce of a successful response is in the next proof', async () => {
  const { source, url, api, resource } = await startDpopServers()
  resource.offerNonce('later')
  const bound = source()
  await bound.fetch(url)
  expect((await bound.fetch(url)).status).toBe(200)
  expect(api.requests).toHaveLength(2)
  expect(decodeJwt(resource.proofs[1] ?? '')['nonce']).toBe('later')
})

test('the nonce of a response to a request with a nonce is in the next proof', async () => {
  const { source, url, api, resource } = await startDpopServers()
  resource.requireNonce('first')
  resource.offerNonce('second')
  const bound = source()
  await bound.fetch(url)
  expect((await bound.fetch(url)).status).toBe(200)
  expect(api.requests).toHaveLength(3)
})

test('a resource that refuses every nonce gets the request twice, and no token is requested for it', async () => {
  let nonces = 0
  const api = closing(
    await startScriptedServer(() => {
      nonces += 1
      return new Response('no', {
        status: 401,
        headers: {
          'www-authenticate': 'DPoP error="use_dpop_nonce"',
          'dpop-nonce': `n${nonces}`,
        },
      })
    }),
  )
  const { source, as } = await startDpopServers()
  as.registerResource(api.url, [])
  const response = await source({ resource: api.url }).fetch(api.url)
  expect(response.status).toBe(401)
  expect(api.requests).toHaveLength(2)
  expect(as.counters.token).toBe(1)
})

test('a revoked token is replaced, with another proof', async () => {
  const { source, url, resource, as } = await startDpopServers()
  const bound = source()
  await bound.fetch(url)
  resource.revokeAll()
  expect((await bound.fetch(url)).status).toBe(200)
  expect(as.counters.token).toBe(2)
})

test('a redirect within the resource gets a proof for its own URL', async () => {
  const { source, url, resource } = await startDpopServers()
  const headers = { 'x-redirect-to': `${url}/moved` }
  const response = await source().fetch(`${url}/redirect`, { headers })
  expect(response.status).toBe(200)
  expect(decodeJwt(resource.proofs[0] ?? '')['htu']).toBe(`${url}/moved`)
})

test('a redirect to another origin gets neither the token nor a proof', async () => {
  const { source, url } = await startDpopServers()
  const other = closing(await startScriptedServer(() => new Response('other')))
  const headers = { 'x-redirect-to': other.url, dpop: 'of the caller' }
  await source().fetch(`${url}/redirect`, { headers })
  const [request] = other.requests
  expect(request?.headers['x-redirect-to']).toBe(other.url)
  expect(request?.headers).not.toHaveProperty('authorization')
  expect(request?.headers).not.toHaveProperty('dpop')
})

test('a server that grants a bearer token is refused, unless DPoP is only preferred', async () => {
  const { source } = await startDpopServers('off')
  const error = await refusal(() => source().token())
  expect(error.code).toBe('ERR_OAUTH_TOKEN_TYPE')
  expect(error.message).toContain('granted a token of type "bearer"; the client requires DPoP')
  const preferred = source({ dpop: { required: false } })
  expect(await preferred.tokenResponse()).toMatchObject({ token_type: 'bearer' })
})

test('a bearer token that was obtained before is refused where DPoP is required', async () => {
  const { source } = await startDpopServers()
  const tokenResponse = { access_token: 'old', token_type: 'Bearer' }
  expect(() => source({ tokenResponse })).toThrow(/the client requires DPoP/)
  expect(await source({ tokenResponse, dpop: { required: false } }).token()).toBe('old')
})

test('an algorithm that the server does not list for proofs is refused before anything is signed', async () => {
  const { source, as, url, signer } = await startDpopServers()
  const metadata = {
    ...as.metadata,
    token_endpoint_auth_methods_supported: ['private_key_jwt'],
    dpop_signing_alg_values_supported: ['EdDSA'],
  }
  const signatures = await signaturesOf(async () => {
    const error = await refusal(() => source({ metadata }).token())
    expect(error.code).toBe('ERR_OAUTH_ALG_NOT_ADVERTISED')
    expect(error.message).toContain('dpop_signing_alg_values_supported')
  })
  expect(signatures).toEqual([])
  const preferred = tokenSource({
    ...{ issuer: as.issuer, clientId: 'agent', resource: url, metadata },
    authentication: privateKeyJwt(signer),
    dpop: { required: false },
  })
  expect((await preferred.tokenResponse()).token_type).toBe('bearer')
})

test('the assertion names the key on request', async () => {
  const { source, as } = await startDpopServers()
  const session = dpopSession()
  await source({ dpop: { session, jktInAssertion: true } }).token()
  expect(as.tokenRequests[0]?.assertion?.claims['cnf']).toEqual({ jkt: await session.jkt() })
})

test('dpop must be of its type', async () => {
  const { source } = await startDpopServers()
  for (const dpop of ['preferred', 1, null, { required: 'no' }, { session: {} }]) {
    expect(() => source({ dpop: dpop as never })).toThrow(TypeError)
  }
})
