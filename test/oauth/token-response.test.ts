import { describe, expect, it } from 'vitest'
import type { Answer } from '../servers/scripted-server.js'
import { startScriptedServer } from '../servers/scripted-server.js'
import {
  enormousBody,
  errorResponse,
  htmlBadGateway,
  redirect,
  tokenResponse,
  truncatedJson,
} from '../servers/token-responses.js'
import { closing, refusal, signaturesOf } from './fixtures.ts'
import { startTokenSource } from './servers.ts'

describe('a refusal', () => {
  it.each([
    ['invalid_client', 400, {}],
    ['invalid_client', 401, { 'www-authenticate': 'Basic realm="as", error="invalid_client"' }],
    ['invalid_client', 401, { 'www-authenticate': 'none of, the = "grammar' }],
    ['invalid_scope', 400, {}],
    ['invalid_target', 400, {}],
    ['unauthorized_client', 403, {}],
  ] as [string, number, Record<string, string>][])(
    'with %s and status %i is thrown with the text of the server, after one request',
    async (error, status, headers) => {
      const body = { error, error_description: 'the key "old" is not registered' }
      const answer = () => Response.json(body, { status, headers })
      const { source, as, tokenRequests } = await startTokenSource(answer)
      const caught = await refusal(() => source.token())
      expect(caught).toMatchObject({
        code: 'ERR_OAUTH_RESPONSE',
        status,
        retryable: false,
        ...body,
      })
      expect(caught.message).toBe(`${as.url} refused: ${error}: the key "old" is not registered`)
      expect(tokenRequests()).toHaveLength(1)
    },
  )

  it('may have no description', async () => {
    const { source } = await startTokenSource(() => errorResponse('invalid_client'))
    const error = await refusal(() => source.token())
    expect(error.error_description).toBeUndefined()
    expect(error.message).toMatch(/refused: invalid_client$/)
  })

  it('has printable text of limited length', async () => {
    const description = `\u001b[31mred\u001b[0m\r\nlines \u009b ${'x'.repeat(100_000)}`
    const { source } = await startTokenSource(() =>
      errorResponse('invalid_client', { description }),
    )
    const error = await refusal(() => source.token())
    expect(error.error_description).toMatch(/^ \[31mred \[0m {2}lines {3}x+…$/)
    expect(error.message.length).toBeLessThan(700)
    expect(error.error_description?.length).toBeLessThan(510)
  })

  it('with members of other types is thrown without them', async () => {
    const body = { error: { toString: 'invalid_client' }, error_description: ['no'] }
    const { source } = await startTokenSource(() => Response.json(body, { status: 400 }))
    const error = await refusal(() => source.token())
    expect(error).toMatchObject({ code: 'ERR_OAUTH_INVALID_RESPONSE', status: 400 })
    expect([error.error, error.error_description]).toEqual([undefined, undefined])
  })
})

const notTokens: [string, () => Answer, code?: string][] = [
  ['truncated JSON', truncatedJson],
  ['a body of 2 MB', () => enormousBody(2_000_000)],
  ['a web page', () => new Response('<html>', { headers: { 'content-type': 'text/html' } })],
  ['no content', () => new Response(null, { status: 204 })],
  ['an empty body', () => new Response(null)],
  ['a list', () => Response.json([{ access_token: 'a', token_type: 'bearer' }])],
  ['an error with status 200', () => errorResponse('invalid_client', { status: 200 })],
  ['a web page with status 401', () => new Response('<html>', { status: 401 })],
  ['no access_token', () => tokenResponse({ access_token: undefined })],
  ['an empty access_token', () => tokenResponse({ access_token: '' })],
  ['a number for its access_token', () => tokenResponse({ access_token: 7 })],
  ['an access_token of two lines', () => tokenResponse({ access_token: 'a\r\nx-header: b' })],
  [
    'an access_token with other characters than ASCII',
    () => tokenResponse({ access_token: 'tökén' }),
  ],
  ['an access_token of two words', () => tokenResponse({ access_token: 'two words' })],
  ['no token_type', () => tokenResponse({ token_type: undefined })],
  ['a list for its token_type', () => tokenResponse({ token_type: ['bearer'] })],
  ['a DPoP token', () => tokenResponse({ token_type: 'DPoP' }), 'ERR_OAUTH_TOKEN_TYPE'],
  ['a MAC token', () => tokenResponse({ token_type: 'mac' })],
  ['a token of type N_A', () => tokenResponse({ token_type: 'N_A' })],
  ['a list for its scope', () => tokenResponse({ scope: ['read'] })],
]

describe('a response that is not a token response is refused after one request:', () => {
  it.each(notTokens)('%s', async (_what, answer, code = 'ERR_OAUTH_INVALID_RESPONSE') => {
    const { source, tokenRequests } = await startTokenSource(answer)
    const signatures = await signaturesOf(async () => {
      const error = await refusal(() => source.token())
      expect(error).toMatchObject({ code, retryable: false })
    })
    expect(tokenRequests()).toHaveLength(1)
    expect(signatures).toHaveLength(1)
  })
})

describe('a redirect of the token endpoint', () => {
  it.each([301, 302, 303, 307, 308])('with status %i is not followed', async (status) => {
    const elsewhere = closing(await startScriptedServer(() => tokenResponse()))
    const { source, tokenRequests } = await startTokenSource(() => redirect(elsewhere.url, status))
    const error = await refusal(() => source.token())
    expect(error).toMatchObject({ code: 'ERR_OAUTH_INVALID_RESPONSE', status })
    expect(tokenRequests()).toHaveLength(1)
    expect(elsewhere.requests).toEqual([])
  })
})

it('an error page of a proxy means an unavailable server, and the error has its status', async () => {
  const { source } = await startTokenSource(htmlBadGateway, { retries: 0 })
  const error = await refusal(() => source.token())
  expect(error).toMatchObject({ code: 'ERR_OAUTH_UNAVAILABLE', status: 502, error: undefined })
})

it.each(['bearer', 'BEARER', 'Bearer'])('the token type %s is accepted', async (token_type) => {
  const { source } = await startTokenSource(() => tokenResponse({ token_type }))
  expect(await source.tokenResponse()).toMatchObject({ token_type: 'bearer' })
})
