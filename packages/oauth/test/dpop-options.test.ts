import { rotating } from '@countersign/core'
import {
  clientSecretBasic,
  dpopSession,
  type Fetch,
  privateKeyJwt,
  type TokenSourceOptions,
  tokenSource,
} from '@countersign/oauth'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { describe, expect, it } from 'vitest'
import { es256Signer, metadata } from './fixtures.js'

const signer = await es256Signer()
const good = {
  issuer: 'https://as.test',
  clientId: 'agent',
  metadata: metadata(),
  authentication: clientSecretBasic('secret'),
}

it.each<[unknown, string]>([
  ['ES256', '"dpop" must be true, a signer, or an object of options'],
  [1, '"dpop" must be true, a signer, or an object of options'],
  [null, '"dpop" must be true, a signer, or an object of options'],
  [{ required: 'yes' }, '"dpop.required" and "dpop.jktInAssertion" must be booleans'],
  [{ jktInAssertion: 1 }, '"dpop.required" and "dpop.jktInAssertion" must be booleans'],
  [{ session: {} }, '"dpop.session" must be a session of dpopSession(…)'],
  [{ session: null }, '"dpop.session" must be a session of dpopSession(…)'],
  [{ session: dpopSession(), signer }, '"dpop.session" has a key already'],
])('the option dpop with the value %j is refused', (dpop, message) => {
  const make = () => tokenSource({ ...good, dpop } as TokenSourceOptions)
  expect(make).toThrow(TypeError)
  expect(make).toThrow(message)
})

it('a rotating signer is refused for DPoP, since a token is bound to one key', () => {
  const dpop = rotating(async () => signer) as never
  expect(() => tokenSource({ ...good, dpop })).toThrow(TypeError)
})

/** A server that grants DPoP tokens, and the requests that it got. */
function server() {
  const requests: Request[] = []
  const fetch: Fetch = async (input, init) => {
    const request = new Request(input, init)
    requests.push(request)
    return Response.json({ access_token: 'token', token_type: 'DPoP', expires_in: 300 })
  }
  return { fetch, requests }
}

describe('the client assertion of a token request with DPoP', () => {
  const cnfOf = async (dpop: TokenSourceOptions['dpop'], claims = {}) => {
    const { fetch, requests } = server()
    const authentication = privateKeyJwt(signer, { claims })
    await tokenSource({ ...good, authentication, fetch, dpop }).token()
    const [request] = requests
    const body = new URLSearchParams(await request?.text())
    const { jwk } = decodeProtectedHeader(request?.headers.get('dpop') ?? '')
    return { claims: decodeJwt(body.get('client_assertion') ?? ''), jwk }
  }

  it('has the thumbprint of the key on request, beside the claims of the caller', async () => {
    const session = dpopSession()
    const { claims } = await cnfOf({ session, jktInAssertion: true }, { tenant: 'a' })
    expect(claims['cnf']).toEqual({ jkt: await session.jkt() })
    expect(claims['tenant']).toBe('a')
  })

  it.each([true, {}, { jktInAssertion: false }])('has no thumbprint with %j', async (dpop) => {
    expect((await cnfOf(dpop, { tenant: 'a' })).claims).not.toHaveProperty('cnf')
  })

  it('is not needed: the proof is signed by the signer that is given', async () => {
    const { jwk } = await cnfOf(await es256Signer().then((key) => ({ signer: key })))
    expect(jwk).toMatchObject({ kty: 'EC', crv: 'P-256' })
    expect((await cnfOf(signer)).jwk?.x).toBe(signer.publicJwk.x)
    expect((await cnfOf({ signer })).jwk?.x).toBe(signer.publicJwk.x)
  })
})

it('a redirect that changes POST to GET drops the headers of the body, and no others', async () => {
  const seen: Request[] = []
  const fetch: Fetch = async (input, init) => {
    const request = new Request(input, init)
    seen.push(request)
    const location = 'https://api.test/done'
    return request.url === location
      ? new Response('ok')
      : new Response(null, { status: 303, headers: { location } })
  }
  const tokenResponse = { access_token: 'token', token_type: 'bearer' }
  const source = tokenSource({ ...good, resource: 'https://api.test/', fetch, tokenResponse })
  const names = ['encoding', 'language', 'length', 'location', 'type']
  const headers = {
    ...Object.fromEntries(
      names.map((name) => [`content-${name}`, name === 'length' ? '2' : 'a/b']),
    ),
    'x-kept': 'yes',
  }
  const response = await source.fetch('https://api.test/start', {
    method: 'POST',
    body: '{}',
    headers,
  })
  expect(await response.text()).toBe('ok')
  const [, second] = seen
  expect(second?.method).toBe('GET')
  expect([...(second?.headers.keys() ?? [])].filter((name) => /^content-/.test(name))).toEqual([])
  expect(second?.headers.get('x-kept')).toBe('yes')
})
