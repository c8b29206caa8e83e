import {
  clientSecretBasic,
  externalAssertion,
  type Fetch,
  privateKeyJwt,
  type TokenSourceOptions,
  tokenSource,
} from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { es256Signer, metadata } from './fixtures.ts'
import { answer, large, never } from './responses.ts'

const issuer = 'https://as.test'
const signer = await es256Signer()

describe('a token source says', () => {
  const source = (fetch: Fetch, options: Partial<TokenSourceOptions> = {}) =>
    tokenSource({
      issuer,
      clientId: 'agent',
      authentication: clientSecretBasic('se/cret'),
      metadata: metadata(),
      retries: 0,
      fetch,
      ...options,
    })

  it.each<[string, Fetch, string, string, object?]>([
    [
      'the server cannot be reached',
      async () => {
        const cause = Object.assign(new Error('connect se/cret'), { code: 'ECONNREFUSED' })
        throw new TypeError('fetch failed', { cause })
      },
      'ERR_OAUTH_UNAVAILABLE',
      'The token endpoint https://as.test cannot be reached',
      {
        cause: {
          message: 'fetch failed',
          cause: { message: 'connect [redacted]', code: 'ECONNREFUSED' },
        },
      },
    ],
    [
      'the server refuses',
      answer(401, { error: 'invalid_client', error_description: 'not se%2Fcret' }),
      'ERR_OAUTH_RESPONSE',
      'https://as.test refused: invalid_client: not [redacted]',
      {
        status: 401,
        error: 'invalid_client',
        error_description: 'not [redacted]',
        retryable: false,
      },
    ],
    [
      'the server is overloaded',
      answer(429, { error: 'slow_down' }, { 'retry-after': '5' }),
      'ERR_OAUTH_UNAVAILABLE',
      'https://as.test cannot grant a token now: slow_down',
      { status: 429, error: 'slow_down', retryAfterSeconds: 5 },
    ],
    [
      'the server is failing',
      answer(500),
      'ERR_OAUTH_UNAVAILABLE',
      'https://as.test cannot grant a token now: HTTP status 500',
      { status: 500, error: undefined, error_description: undefined },
    ],
    [
      'the server cannot answer for a while',
      answer(400, { error: 'temporarily_unavailable' }),
      'ERR_OAUTH_UNAVAILABLE',
      'https://as.test cannot grant a token now: temporarily_unavailable',
    ],
    [
      'the token endpoint is not one',
      answer(404, { error: 7 }),
      'ERR_OAUTH_INVALID_RESPONSE',
      'The token endpoint /token of https://as.test answered with HTTP status 404 and without an OAuth error; check the token endpoint',
      { status: 404 },
    ],
    [
      'the response has no token',
      answer(200, {}, { 'content-type': 'application/json' }),
      'ERR_OAUTH_INVALID_RESPONSE',
      'The response of https://as.test is not a token response: "response" body "access_token" property must be a string',
      { status: 200 },
    ],
    [
      'the token is of another type',
      answer(
        200,
        { access_token: 'a', token_type: 'DPoP' },
        { 'content-type': 'application/json' },
      ),
      'ERR_OAUTH_TOKEN_TYPE',
      'https://as.test granted a token of type "dpop"; no proof was sent, so the token is bound to another key. Set the option "dpop"',
    ],
    [
      'the token does not fit a header',
      answer(
        200,
        { access_token: 'a b', token_type: 'bearer' },
        { 'content-type': 'application/json' },
      ),
      'ERR_OAUTH_INVALID_RESPONSE',
      'https://as.test granted a token with characters that a bearer token cannot have',
    ],
    [
      'the response is too large',
      large,
      'ERR_OAUTH_INVALID_RESPONSE',
      'The response of https://as.test is larger than 1 MiB',
    ],
  ])('that %s', async (_what, fetch, code, message, members = {}) => {
    await expect(source(fetch).token()).rejects.toMatchObject({ code, message, ...members })
  })

  it('that it took too long, and which option bounds it', async () => {
    await expect(source(never, { timeoutSeconds: 0.02 }).token()).rejects.toMatchObject({
      code: 'ERR_OAUTH_TIMEOUT',
      message:
        'No access token was obtained within 0.02 s; raise "timeoutSeconds" if the authorization server or the signer needs longer',
    })
  })

  it('that the grant has no type, before anything is sent', async () => {
    let requests = 0
    const fetch: Fetch = async () => {
      requests++
      return new Response()
    }
    await expect(source(fetch, { grant: {} }).token()).rejects.toThrow(/"grantType"/)
    expect(requests).toBe(0)
  })

  it('that fetch needs a resource', async () => {
    await expect(source(never).fetch('https://api.test')).rejects.toThrow(
      new TypeError(
        '"fetch" needs the option "resource", the URL of the resource that the token is for',
      ),
    )
  })
})

describe('an authentication says', () => {
  const request = (
    authentication: ReturnType<typeof privateKeyJwt>,
    changes: Record<string, unknown> = {},
  ) => {
    const body = new URLSearchParams()
    return authentication(metadata(changes), { client_id: 'agent' }, body, new Headers())
  }

  const isNot = (audience: string, server = '"https://as.test"') =>
    `The assertion has the audience ${audience}, but would be sent to ${server}; nothing was sent. Pin the issuer of the server that it is for, or use the issuer or the token endpoint of the server that it is sent to as its audience`

  it.each<[string, string, Record<string, unknown>, string]>([
    ['of another server', 'https://other.test', {}, isNot('"https://other.test"')],
    [
      'of a token endpoint at another origin',
      'https://other.test/token',
      { token_endpoint: 'https://other.test/token' },
      isNot('"https://other.test/token"'),
    ],
    [
      'of the token endpoint of an issuer that is not a URL',
      'https://as.test/token',
      { issuer: 'as' },
      isNot('"https://as.test/token"', '"as"'),
    ],
  ])('that the audience is %s', async (_what, audience, changes, message) => {
    const asked = request(privateKeyJwt(signer, { audience }), changes)
    await expect(asked).rejects.toMatchObject({ code: 'ERR_OAUTH_AUDIENCE', message })
  })

  it.each([
    [undefined, 'undefined'],
    [[], '[]'],
    [['https://as.test', 'https://other.test'], '["https://as.test","https://other.test"]'],
    [7, '7'],
    [[['https://as.test']], '[["https://as.test"]]'],
  ])('that an external assertion has the audience %j', async (aud, shown) => {
    const payload = Buffer.from(JSON.stringify({ aud })).toString('base64url')
    const asked = request(externalAssertion(() => `e30.${payload}.c2ln`))
    await expect(asked).rejects.toMatchObject({
      code: 'ERR_OAUTH_AUDIENCE',
      message: isNot(shown === 'undefined' ? 'nothing' : shown),
    })
  })

  it('that an external assertion is not a JWT', async () => {
    for (const assertion of [
      '',
      'e30.e30',
      'e30.e30.e30.e30',
      ' e30.e30.e30',
      'e30.e30.e30\n',
      7,
    ]) {
      await expect(request(externalAssertion(() => assertion as string))).rejects.toMatchObject({
        code: 'ERR_OAUTH_ASSERTION',
        message:
          'The external assertion is not a signed JWT in compact serialization; nothing was sent. Fix the function that makes it',
      })
    }
  })

  it.each<[string, Record<string, unknown>, string, string]>([
    [
      'the method is not listed',
      { token_endpoint_auth_methods_supported: ['none'] },
      'ERR_OAUTH_METHOD_NOT_ADVERTISED',
      '"https://as.test" does not list private_key_jwt in "token_endpoint_auth_methods_supported" (it lists ["none"]); enable it there, or use a listed method',
    ],
    [
      'no method is listed',
      { token_endpoint_auth_methods_supported: undefined },
      'ERR_OAUTH_METHOD_NOT_ADVERTISED',
      '"https://as.test" does not list private_key_jwt in "token_endpoint_auth_methods_supported" (it lists ["client_secret_basic"]); enable it there, or use a listed method',
    ],
    [
      'the algorithm is not listed',
      { token_endpoint_auth_signing_alg_values_supported: ['RS256'] },
      'ERR_OAUTH_ALG_NOT_ADVERTISED',
      '"https://as.test" does not list ES256 in "token_endpoint_auth_signing_alg_values_supported" (it lists ["RS256"]); use a key of a listed algorithm',
    ],
    [
      'a list is not one',
      { token_endpoint_auth_signing_alg_values_supported: 'ES256' },
      'ERR_OAUTH_DISCOVERY',
      '"token_endpoint_auth_signing_alg_values_supported" in the metadata of "https://as.test" is not a list of strings; nothing was signed',
    ],
    [
      'there is no token endpoint',
      { token_endpoint: undefined },
      'ERR_OAUTH_DISCOVERY',
      'The token endpoint is not a URL',
    ],
  ])('that %s', async (_what, changes, code, message) => {
    await expect(request(privateKeyJwt(signer), changes)).rejects.toMatchObject({ code, message })
  })

  it('that the secret or the signer is not of its type', async () => {
    expect(() => clientSecretBasic('')).toThrow(
      '"secret" must be a non-empty string or a function that returns one',
    )
    await expect(request(clientSecretBasic(() => ''))).rejects.toThrow(
      'the client secret must be a non-empty string',
    )
    expect(() => privateKeyJwt({} as never)).toThrow('the first argument must be a signer')
    expect(() => externalAssertion('' as never)).toThrow('the first argument must be a function')
  })
})
