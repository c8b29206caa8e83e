import { inspect } from 'node:util'
import {
  clientSecretBasic,
  discoverAuthorizationServer,
  discoverProtectedResource,
  externalAssertion,
  type Fetch,
  type OAuthErrorCode,
  privateKeyJwt,
  tokenSource,
} from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { errorResponse, tokenResponse } from '../servers/token-responses.js'
import { es256Signer, refusal } from './fixtures.ts'

/** Clears the screen, forges a line of a log, reorders text, and is long. */
const hostile = `\u001b[2J\u009b31m\r\nforged line\u2028\u202e\u2066\u200b\u0000${'x'.repeat(300_000)}`
const longHost = `https://${Array(10_000).fill('label').join('.')}.test`

/** A `fetch` that answers metadata requests and token requests. */
function answering(metadata: unknown, token: () => Response = () => tokenResponse()): Fetch {
  return async (input, init) => {
    if (init?.method === 'POST') return token()
    return String(input).includes('/missing') ? new Response(null, { status: 404 }) : json(metadata)
  }
}

const json = (body: unknown) => Response.json(body)

function metadata(changes: Record<string, unknown> = {}) {
  return {
    issuer: 'https://as.test',
    token_endpoint: 'https://as.test/token',
    token_endpoint_auth_methods_supported: ['private_key_jwt', 'client_secret_basic'],
    ...changes,
  }
}

async function requestToken(fetch: Fetch, changes: Record<string, unknown> = {}) {
  const authentication = privateKeyJwt(await es256Signer())
  const { issuer } = metadata(changes) as { readonly issuer: string }
  const source = tokenSource({
    ...{ issuer, clientId: 'agent', authentication, retries: 0, fetch },
    metadata: metadata(changes),
  })
  return source.token()
}

function requestWith(changes: Record<string, unknown>, token?: () => Response) {
  return () => requestToken(answering(metadata(changes), token), changes)
}

function discovered(server: Record<string, unknown>) {
  return () => discoverAuthorizationServer('https://as.test', { fetch: answering(server) })
}

function resource(body: Record<string, unknown>, url = 'https://api.test/mcp') {
  return () => discoverProtectedResource(url, { fetch: answering(body) })
}

const methods = 'token_endpoint_auth_methods_supported'
const algs = 'token_endpoint_auth_signing_alg_values_supported'

const messages: [string, OAuthErrorCode, () => Promise<unknown>][] = [
  ['an issuer', 'ERR_OAUTH_ISSUER_MISMATCH', discovered(metadata({ issuer: hostile }))],
  [
    'the issuer of the request',
    'ERR_OAUTH_DISCOVERY',
    () =>
      discoverAuthorizationServer(`https://as.test/missing${hostile}`, { fetch: answering({}) }),
  ],
  [
    'an endpoint on loopback',
    'ERR_OAUTH_INSECURE_ENDPOINT',
    discovered(metadata({ token_endpoint: `https://${'x.'.repeat(50_000)}localhost/token` })),
  ],
  ['a list of methods', 'ERR_OAUTH_METHOD_NOT_ADVERTISED', requestWith({ [methods]: [hostile] })],
  ['a list of algorithms', 'ERR_OAUTH_ALG_NOT_ADVERTISED', requestWith({ [algs]: [hostile] })],
  [
    'the host of a token endpoint',
    'ERR_OAUTH_INSECURE_ENDPOINT',
    requestWith({ token_endpoint: longHost.replace('https', 'http') }),
  ],
  [
    'the scheme of a token endpoint',
    'ERR_OAUTH_INSECURE_ENDPOINT',
    requestWith({ token_endpoint: `x${'y'.repeat(300_000)}:z` }),
  ],
  [
    'a host that cannot be reached',
    'ERR_OAUTH_UNAVAILABLE',
    () => requestToken(() => Promise.reject(new Error(hostile)), { token_endpoint: longHost }),
  ],
  [
    'a host whose response is too large',
    'ERR_OAUTH_INVALID_RESPONSE',
    requestWith({ token_endpoint: longHost }, () =>
      tokenResponse({ padding: 'x'.repeat(2_000_000) }),
    ),
  ],
  [
    'the path of a token endpoint',
    'ERR_OAUTH_INVALID_RESPONSE',
    requestWith(
      { token_endpoint: `https://as.test/${hostile}` },
      () => new Response(null, { status: 400 }),
    ),
  ],
  [
    'a token type',
    'ERR_OAUTH_INVALID_RESPONSE',
    requestWith({}, () => tokenResponse({ token_type: hostile })),
  ],
  ['an OAuth error', 'ERR_OAUTH_RESPONSE', requestWith({}, () => errorResponse(hostile))],
  [
    'a description',
    'ERR_OAUTH_RESPONSE',
    requestWith({}, () => errorResponse('invalid_client', { description: hostile })),
  ],
  [
    'an error that may pass',
    'ERR_OAUTH_UNAVAILABLE',
    requestWith({}, () => errorResponse(hostile, { status: 503, description: hostile })),
  ],
  [
    'a response that is not a token response',
    'ERR_OAUTH_INVALID_RESPONSE',
    requestWith({}, () => tokenResponse({ access_token: { [hostile]: hostile } })),
  ],
  [
    'an audience',
    'ERR_OAUTH_AUDIENCE',
    async () => {
      const payload = Buffer.from(JSON.stringify({ aud: hostile })).toString('base64url')
      const authentication = externalAssertion(() => `e30.${payload}.e30`)
      await authentication(metadata(), { client_id: 'agent' }, new URLSearchParams(), new Headers())
    },
  ],
  [
    'a resource',
    'ERR_OAUTH_RESOURCE_MISMATCH',
    resource({ resource: `https://a.test/${hostile}` }),
  ],
  [
    'the resource of the request',
    'ERR_OAUTH_DISCOVERY',
    resource({}, `https://api.test/missing${hostile}`),
  ],
  [
    'an authorization server of a resource',
    'ERR_OAUTH_INSECURE_ENDPOINT',
    resource({
      resource: 'https://api.test/mcp',
      authorization_servers: [`https://${'x.'.repeat(50_000)}localhost/${hostile}`],
    }),
  ],
]

/** Everything that an error shows, to any depth. */
function everythingShown(error: unknown): string {
  return inspect(error, { depth: Infinity, showHidden: true, maxStringLength: null })
}

describe('a server cannot make an error long, or put control characters into it, by', () => {
  it.each(messages)('%s', async (_what, code, action) => {
    const error = await refusal(action)
    expect(error.code).toBe(code)
    expect(error.message.length).toBeLessThan(2000)
    expect(error.message).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u)
    const { stack = '' } = error
    const shown = everythingShown(error).replaceAll(stack, '')
    expect(shown.length).toBeLessThan(10_000)
    expect(shown).not.toMatch(/[^\P{C}\n]|[\u2028\u2029]/u)
  })

  it.each(['issuer', 'token endpoint'])('the %s in any message with it', async (what) => {
    const own = { [what.replace(' ', '_')]: `https://as.test/${hostile}` }
    for (const token of [
      () => new Response(null, { status: 400 }),
      () => errorResponse('invalid_client'),
      () => errorResponse('slow_down', { status: 429 }),
      () => tokenResponse({ token_type: 'mac' }),
      () => tokenResponse({ access_token: 'a b' }),
      () => tokenResponse({ access_token: 7 }),
      () => new Response('<html>'),
    ]) {
      const error = await refusal(requestWith(own, token))
      expect(error.message.length).toBeLessThan(2000)
      expect(error.message).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u)
    }
  })
})

describe('a list that is nested 100,000 deep is refused as metadata,', () => {
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
  const raw = (member: string, rest: Record<string, unknown>): Fetch => {
    const text = JSON.stringify({ ...rest, [member]: null }).replace(
      `"${member}":null`,
      `"${member}":${deep}`,
    )
    const headers = { 'content-type': 'application/json' }
    return async () => new Response(text, { headers })
  }

  it.each([methods, algs])('as %s', async (member) => {
    const authentication = privateKeyJwt(await es256Signer())
    const fetch = raw(member, metadata())
    const options = { issuer: 'https://as.test', clientId: 'agent', authentication, fetch }
    const error = await refusal(() => tokenSource(options).token())
    expect(error.code).toBe('ERR_OAUTH_DISCOVERY')
  })

  it('as an issuer or an endpoint', async () => {
    for (const member of ['issuer', 'token_endpoint']) {
      const fetch = raw(member, metadata())
      const authentication = clientSecretBasic('secret')
      const options = { issuer: 'https://as.test', clientId: 'agent', authentication, fetch }
      const error = await refusal(() => tokenSource(options).token())
      expect(error.code).toBe('ERR_OAUTH_DISCOVERY')
    }
  })

  it.each(['resource', 'authorization_servers', 'scopes_supported'])(
    'as the %s of a resource',
    async (member) => {
      const fetch = raw(member, { resource: 'https://api.test/mcp' })
      const error = await refusal(() =>
        discoverProtectedResource('https://api.test/mcp', { fetch }),
      )
      expect(error.code).toBe('ERR_OAUTH_DISCOVERY')
    },
  )

  it('as the issuer of given metadata', async () => {
    const issuer = JSON.parse(deep) as string
    const authentication = clientSecretBasic('secret')
    const given = { ...metadata(), issuer }
    const options = {
      issuer: 'https://as.test',
      clientId: 'agent',
      authentication,
      metadata: given,
    }
    expect((await refusal(async () => tokenSource(options))).code).toBe('ERR_OAUTH_ISSUER_MISMATCH')
  })
})
