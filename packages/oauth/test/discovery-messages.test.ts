import {
  discoverAuthorizationServer,
  discoverProtectedResource,
  type Fetch,
} from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { metadata } from './fixtures.ts'
import { answer, large, never, unreachable } from './responses.ts'

const issuer = 'https://as.test'

describe('discoverAuthorizationServer says', () => {
  it.each<[string, string, Fetch, string, string, object?]>([
    ['the issuer is not a URL', 'as.test', never, 'ERR_OAUTH_DISCOVERY', 'The issuer is not a URL'],
    [
      'the issuer is on http',
      'http://as.test',
      never,
      'ERR_OAUTH_INSECURE_ENDPOINT',
      'The issuer http://as.test is neither https nor on loopback; nothing was sent there',
    ],
    [
      'the issuer is of another protocol',
      'ftp://127.0.0.1',
      never,
      'ERR_OAUTH_INSECURE_ENDPOINT',
      'The issuer ftp://127.0.0.1 is neither https nor on loopback; nothing was sent there',
    ],
    [
      'the issuer is no address',
      'urn:as',
      never,
      'ERR_OAUTH_INSECURE_ENDPOINT',
      'The issuer urn: is neither https nor on loopback; nothing was sent there',
    ],
    [
      'the issuer has a user name',
      'https://user@as.test',
      never,
      'ERR_OAUTH_INSECURE_ENDPOINT',
      'The issuer has credentials in it',
    ],
    [
      'the issuer has a password',
      'https://:secret@as.test',
      never,
      'ERR_OAUTH_INSECURE_ENDPOINT',
      'The issuer has credentials in it',
    ],
    [
      'there is no metadata',
      issuer,
      answer(404),
      'ERR_OAUTH_DISCOVERY',
      'https://as.test publishes no metadata: the well-known locations of RFC 8414 and OpenID Connect answered with HTTP status 404; check the issuer',
      { status: 404, retryable: false },
    ],
    ...[429, 500, 503].map((status): [string, string, Fetch, string, string, object] => [
      `the server answers ${status}`,
      issuer,
      answer(status, undefined, { 'retry-after': '7' }),
      'ERR_OAUTH_UNAVAILABLE',
      `https://as.test answered the request for its metadata with HTTP status ${status}`,
      { status, retryAfterSeconds: 7, retryable: true },
    ]),
    [
      'the server answers 499',
      issuer,
      answer(499),
      'ERR_OAUTH_DISCOVERY',
      'https://as.test publishes no metadata: the well-known locations of RFC 8414 and OpenID Connect answered with HTTP status 499; check the issuer',
    ],
    [
      'the server cannot be reached',
      issuer,
      unreachable,
      'ERR_OAUTH_UNAVAILABLE',
      'The metadata at https://as.test cannot be reached',
      { cause: { name: 'TypeError', message: 'fetch failed' } },
    ],
    [
      'the server does not answer',
      issuer,
      never,
      'ERR_OAUTH_TIMEOUT',
      'The metadata at https://as.test did not answer in time',
      { retryable: true },
    ],
    [
      'the response is too large',
      issuer,
      large,
      'ERR_OAUTH_DISCOVERY',
      'The response of https://as.test is larger than 1 MiB',
    ],
    [
      'the metadata is of another issuer',
      issuer,
      answer(200, { issuer: 'https://other.test' }),
      'ERR_OAUTH_ISSUER_MISMATCH',
      `The authorization server's metadata names the issuer "https://other.test", but "https://as.test" was expected; nothing was signed`,
    ],
    [
      'the metadata names no issuer',
      issuer,
      answer(200, { token_endpoint: 'https://as.test/token' }),
      'ERR_OAUTH_DISCOVERY',
      'The document at the well-known location of https://as.test is not authorization server metadata: "response" body "issuer" property must be a string',
    ],
    [
      'another machine names an endpoint on this one',
      issuer,
      answer(200, metadata({ token_endpoint: 'https://localhost/token' })),
      'ERR_OAUTH_INSECURE_ENDPOINT',
      'https://as.test names as its token endpoint https://localhost, which is on this machine; nothing was sent there',
    ],
    [
      'another machine names its keys on this one',
      issuer,
      answer(200, metadata({ jwks_uri: 'http://127.0.0.1:1/' })),
      'ERR_OAUTH_INSECURE_ENDPOINT',
      'https://as.test names as its jwks uri http://127.0.0.1:1, which is on this machine; nothing was sent there',
    ],
  ])('that %s', async (_what, url, fetch, code, message, members = {}) => {
    const signal = fetch === never ? AbortSignal.timeout(5) : undefined
    await expect(discoverAuthorizationServer(url, { fetch, signal })).rejects.toMatchObject({
      name: 'OAuthError',
      code,
      message,
      ...members,
    })
  })

  it('nothing of members that are not endpoints, or not URLs', async () => {
    const published = metadata({
      service_documentation: 'http://127.0.0.1/',
      an_endpoint: 7,
      other_endpoint: 'localhost',
    })
    const fetch = answer(200, published, { 'content-type': 'application/json' })
    expect(await discoverAuthorizationServer(issuer, { fetch })).toEqual(published)
  })
})

describe('discoverProtectedResource says', () => {
  const resource = 'https://api.test/v1?tenant=7'
  it.each<[string, Fetch, string, string, object?]>([
    [
      'there is no metadata',
      answer(404),
      'ERR_OAUTH_DISCOVERY',
      'https://api.test/v1 answered the request for its resource metadata with HTTP status 404',
      { status: 404 },
    ],
    [
      'the resource is unavailable',
      answer(503, undefined, { 'retry-after': '7' }),
      'ERR_OAUTH_UNAVAILABLE',
      'https://api.test/v1 answered the request for its resource metadata with HTTP status 503',
      { status: 503, retryAfterSeconds: 7 },
    ],
    [
      'the resource cannot be reached',
      unreachable,
      'ERR_OAUTH_UNAVAILABLE',
      'The metadata at https://api.test cannot be reached',
    ],
    ...[
      'text',
      null,
      {},
      { resource: 7 },
      { resource: 'api' },
      { resource: 'https://api.test/v1', authorization_servers: 'https://as.test' },
      { resource: 'https://api.test/v1', authorization_servers: [7] },
      { resource: 'https://api.test/v1', scopes_supported: 'read' },
    ].map((body): [string, Fetch, string, string] => [
      `the document is ${JSON.stringify(body)}`,
      answer(200, body),
      'ERR_OAUTH_DISCOVERY',
      'The document at the metadata location of https://api.test is not protected resource metadata',
    ]),
    [
      'the metadata is of another resource',
      answer(200, { resource: 'https://api.test/v2' }),
      'ERR_OAUTH_RESOURCE_MISMATCH',
      'The metadata is that of the resource "https://api.test/v2", which does not cover https://api.test/v1',
    ],
    [
      'the resource names a server on this machine',
      answer(200, {
        resource: 'https://api.test/v1',
        authorization_servers: ['as', 'https://localhost'],
      }),
      'ERR_OAUTH_INSECURE_ENDPOINT',
      'https://api.test names as its authorization server https://localhost, which is on this machine; nothing was sent there',
    ],
  ])('that %s', async (_what, fetch, code, message, members = {}) => {
    await expect(discoverProtectedResource(resource, { fetch })).rejects.toMatchObject({
      code,
      message,
      ...members,
    })
  })

  it.each<[string, string | undefined, string]>([
    ['api.test', undefined, 'The resource is not a URL'],
    ['https://api.test', 'metadata', 'The resource metadata is not a URL'],
    [
      'https://api.test',
      'http://localhost/',
      'https://api.test names as its resource metadata http://localhost, which is on this machine; nothing was sent there',
    ],
  ])('that %s with the metadata URL %s cannot be used', async (url, metadataUrl, message) => {
    const asked = discoverProtectedResource(url, { metadataUrl, fetch: never })
    await expect(asked).rejects.toThrow(message)
  })

  it('that it failed for a while, even if another location has no metadata', async () => {
    const fetch: Fetch = async (url) =>
      new Response(null, { status: String(url).endsWith('/v1') ? 503 : 404 })
    await expect(discoverProtectedResource(resource, { fetch })).rejects.toMatchObject({
      code: 'ERR_OAUTH_UNAVAILABLE',
      status: 503,
    })
  })
})
