import { OAuthError } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'

describe('an OAuthError', () => {
  it('has its code, its name, and the members from the server', () => {
    const cause = new Error('inner')
    const options = { error: 'invalid_client', error_description: 'no', status: 401, cause }
    const error = new OAuthError('ERR_OAUTH_RESPONSE', 'refused', options)
    expect(error).toMatchObject({ ...options, code: 'ERR_OAUTH_RESPONSE', name: 'OAuthError' })
    expect(error.retryable).toBe(false)
    expect(String(error)).toBe('OAuthError: refused')
  })

  it.each(['ERR_OAUTH_UNAVAILABLE', 'ERR_OAUTH_TIMEOUT'] as const)(
    'with the code %s is retryable',
    (code) => {
      expect(new OAuthError(code, 'later').retryable).toBe(true)
    },
  )

  it('is recognised by another copy of the package, and no other value is', () => {
    const brand = Symbol.for('@countersign/oauth.OAuthError')
    expect(OAuthError.is(new OAuthError('ERR_OAUTH_TIMEOUT', 'later'))).toBe(true)
    expect(OAuthError.is(Object.assign(new Error(), { [brand]: true }))).toBe(true)
    for (const other of [new Error(), { code: 'ERR_OAUTH_TIMEOUT' }, null, undefined, 'x']) {
      expect(OAuthError.is(other)).toBe(false)
    }
  })

  it('has no cause unless one is given', () => {
    expect('cause' in new OAuthError('ERR_OAUTH_TIMEOUT', 'later')).toBe(false)
  })
})
