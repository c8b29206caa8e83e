import { SignerError } from '@countersign/core'
import { OAuthError } from '@countersign/oauth'
import {
  ProtocolError,
  SdkError,
  SdkErrorCode,
  SdkHttpError,
  UnauthorizedError,
} from '@modelcontextprotocol/client'
import { describe, expect, it } from 'vitest'
import { describeFailure } from '../src/failure.ts'
import { Interruption } from '../src/interruption.ts'
import { UsageError } from '../src/usage-error.ts'

const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' })

describe('an error has the exit code of', () => {
  it.each([
    [2, 'ERR_USAGE', new UsageError('give it')],
    [130, 'ERR_INTERRUPTED', new Interruption('interrupted by SIGINT')],
    [3, 'ERR_SIGNER_KEY_DISABLED', new SignerError('ERR_SIGNER_KEY_DISABLED', 'disabled')],
    [3, 'ERR_SIGNER_UNAVAILABLE', new SignerError('ERR_SIGNER_UNAVAILABLE', 'no KMS')],
    [1, 'ERR_OAUTH_RESPONSE', new OAuthError('ERR_OAUTH_RESPONSE', 'refused')],
    [1, 'ERR_OAUTH_ISSUER_MISMATCH', new OAuthError('ERR_OAUTH_ISSUER_MISMATCH', 'another')],
    [4, 'ERR_OAUTH_UNAVAILABLE', new OAuthError('ERR_OAUTH_UNAVAILABLE', 'no answer')],
    [4, 'ERR_OAUTH_TIMEOUT', new OAuthError('ERR_OAUTH_TIMEOUT', 'late')],
    [4, 'ERR_NETWORK', new TypeError('fetch failed', { cause: refused })],
    [4, 'ERR_NETWORK', new TypeError('fetch failed', { cause: new Error('bad port') })],
    [4, 'ERR_TIMEOUT', new DOMException('late', 'TimeoutError')],
    [1, 'ERR_MCP', new ProtocolError(-32602, 'no such tool')],
    [4, 'ERR_MCP', new SdkError(SdkErrorCode.RequestTimeout, 'late')],
    [1, 'ERR_MCP', new UnauthorizedError('no token')],
    [1, 'ERR_MCP', http(404)],
    [4, 'ERR_MCP', http(503)],
    [70, 'ERR_UNEXPECTED', new RangeError('a bug')],
    [70, 'ERR_UNEXPECTED', 'not even an error'],
    [70, 'ERR_UNEXPECTED', undefined],
  ])('%i, and the code %s: %s', (exitCode, code, error) => {
    expect(describeFailure(error)).toMatchObject({ exitCode, code })
  })
})

function http(status: number): SdkHttpError {
  return new SdkHttpError(SdkErrorCode.ClientHttpNotImplemented, `HTTP ${status}`, { status })
}

describe('the message of an error', () => {
  const message = (error: unknown) => describeFailure(error).message

  it('says why a server cannot be reached', () => {
    const error = new OAuthError('ERR_OAUTH_UNAVAILABLE', 'The metadata cannot be reached', {
      cause: new Error('fetch failed', { cause: refused }),
    })
    expect(message(error)).toBe(
      'The metadata cannot be reached: nothing listens there (ECONNREFUSED); check endpoint, network and proxy',
    )
  })

  it('has the cause in it where only that explains anything', () => {
    const error = new SignerError('ERR_SIGNER_BACKEND', 'x could not sign; the cause says why', {
      cause: new RangeError('HSM on fire'),
    })
    expect(message(error)).toBe('x could not sign: RangeError: HSM on fire')
  })

  it('names options as they are named on the command line', () => {
    const config = (text: string) => message(new SignerError('ERR_SIGNER_CONFIG', text))
    expect(config('or set "allowSharedFiles" there')).toBe('or give --allow-shared-files there')
    expect(config('raise "timeoutSeconds"')).toBe('raise --timeout')
  })

  it('points to the URL of an MCP server when nothing is there', () => {
    expect(message(http(404))).toBe('The MCP server: HTTP 404; compare its URL')
  })

  it('tells what to do about what an authorization server refuses', () => {
    const of = (error: string) => message(new OAuthError('ERR_OAUTH_RESPONSE', 'no', { error }))
    expect(of('invalid_client')).toMatch(/^no; register the public key/)
    expect(of('invalid_scope')).toMatch(/--scope/)
    expect(of('something_else')).toBe('no')
  })

  const jwt = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZ2VudCJ9.DtEhU3ljbEg8L38VWAfUAqOyKAM6'
  it.each([
    ['an assertion', `sent ${jwt} there`, jwt],
    ['a bearer token', 'Authorization: Bearer GMcgcvuGkvBWZk2ceWf8tA', 'GMcgcvuGkvBWZk2ceWf8tA'],
    ['an access token', '{"access_token":"GMcgcvuGkvBWZk2ceWf8tA"}', 'GMcgcvuGkvBWZk2ceWf8tA'],
    ['a private JWK', '{"kty":"EC","d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4B"}', '870MB6gfuTJ4HtUn'],
    [
      'a private key',
      '-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqG\n-----END PRIVATE KEY-----',
      'MIGHAgEAMBMGByqG',
    ],
    ['half a private key', '-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIB', 'MHcCAQEEIB'],
    ['a PIN in a URI', 'pkcs11:object=k?pin-value=correcthorse', 'correcthorse'],
  ])('never has %s in it', (_what, text, secret) => {
    expect(message(new Error(text))).not.toContain(secret)
    expect(message(new Error(text))).toContain('[redacted]')
  })

  it('is one line that cannot steer a terminal, and not endless', () => {
    expect(message(new UsageError('one\n  two\x1b[2J\u202e'))).toBe('one two\ufffd[2J\ufffd')
    expect(message(new UsageError('x'.repeat(10_000))).length).toBeLessThan(2100)
  })
})
