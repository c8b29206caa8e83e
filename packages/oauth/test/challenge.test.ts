import { tokenChallenge } from '@countersign/oauth/internal'
import { describe, expect, it } from 'vitest'

function challenge(header: string) {
  return tokenChallenge(new Response(null, { headers: { 'www-authenticate': header } }))
}

const nothing = {
  error: undefined,
  scope: undefined,
  resourceMetadata: undefined,
  schemes: ['bearer'],
}

describe('a challenge for a token', () => {
  it('has the error, the scope and the metadata URL', async () => {
    const url = 'https://api.test/.well-known/oauth-protected-resource'
    const header = `Bearer realm="a, b", error="insufficient_scope", scope="read write", resource_metadata="${url}"`
    expect(await challenge(header)).toEqual({
      error: 'insufficient_scope',
      scope: 'read write',
      resourceMetadata: url,
      schemes: ['bearer'],
    })
  })

  it.each([
    ['with no parameters', 'Bearer', nothing],
    ['in another case', 'bEARER ERROR=invalid_token', { ...nothing, error: 'invalid_token' }],
    ['beside others', 'Basic realm="x", Bearer scope=read, DPoP', { ...nothing, scope: 'read' }],
    ['after another', 'Negotiate a87421000492aa874209af8bc028==, Bearer', nothing],
    ['with escapes', 'Bearer scope="re\\ad"', { ...nothing, scope: 'read' }],
  ])('is read %s', async (_how, header, expected) => {
    expect(await challenge(header)).toEqual(expected)
  })

  it.each([
    '',
    'Basic realm="x"',
    'DPoP error="invalid_token"',
    '"',
    'Bearer scope="open',
    'Bearer,=,',
  ])('is not in %j', async (header) => {
    expect(await challenge(header)).toBeUndefined()
  })

  it('is read from the challenges of both schemes, if both are accepted', async () => {
    const header =
      'Bearer error="insufficient_scope", scope=read, DPoP error="use_dpop_nonce", algs="ES256"'
    const response = new Response(null, { headers: { 'www-authenticate': header } })
    expect(await tokenChallenge(response, ['dpop', 'bearer'])).toEqual({
      ...nothing,
      error: 'use_dpop_nonce',
      scope: 'read',
      schemes: ['dpop', 'bearer'],
    })
  })

  it('is not in a response without the header, and leaves the body unread', async () => {
    expect(await tokenChallenge(new Response())).toBeUndefined()
    const headers = { 'www-authenticate': 'Bearer scope=read' }
    const response = new Response('mine', { status: 401, headers })
    await tokenChallenge(response)
    expect(await response.text()).toBe('mine')
  })

  it('of 16 kB is read quickly', async () => {
    const start = performance.now()
    for (const part of ['a', 'a=', 'a="', ', ', 'a=b, ', '"\\']) {
      await challenge(`Bearer ${part.repeat(16_000 / part.length)}`)
    }
    expect(performance.now() - start).toBeLessThan(2000)
  })
})
