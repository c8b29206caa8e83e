import { SignerError } from '@countersign/core'
import { OAuthError } from '@countersign/oauth'
import { ProtocolError, SdkError, SdkErrorCode, SdkHttpError } from '@modelcontextprotocol/client'
import { describe, expect, it } from 'vitest'
import { Interruption, UsageError } from '../src/errors.ts'
import { describeFailure } from '../src/failure.ts'
import { describeMcpError } from '../src/mcp-client.ts'

const notInstalled = 'The package @countersign/aws-kms is not installed; run "npm install x"'
const refusal = new OAuthError('ERR_OAUTH_RESPONSE', 'refused')
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
    [2, 'ERR_SIGNER_CONFIG', new SignerError('ERR_SIGNER_CONFIG', notInstalled)],
    [2, 'ERR_SIGNER_CONFIG', new SignerError('ERR_SIGNER_CONFIG', 'The AWS region is not known')],
    [3, 'ERR_SIGNER_CONFIG', new SignerError('ERR_SIGNER_CONFIG', 'The key file is open')],
    [1, 'ERR_MCP', ofMcp(new ProtocolError(-32602, 'no such tool'))],
    [4, 'ERR_TIMEOUT', ofMcp(new SdkError(SdkErrorCode.RequestTimeout, 'late'))],
    [4, 'ERR_MCP', ofMcp(new SdkError(SdkErrorCode.ConnectionClosed, 'closed'))],
    [4, 'ERR_NETWORK', ofMcp(new TypeError('fetch failed', { cause: refused }))],
    [1, 'ERR_MCP', ofMcp(http(404))],
    [4, 'ERR_MCP', ofMcp(http(503))],
    [4, 'ERR_MCP', ofMcp(http(429))],
    [1, 'ERR_MCP', ofMcp(new SyntaxError('Unexpected token <'))],
    [1, 'ERR_OAUTH_RESPONSE', ofMcp(new Error('x', { cause: refusal }))],
    [70, 'ERR_UNEXPECTED', ofMcp(new RangeError('a bug'))],
    [70, 'ERR_UNEXPECTED', new RangeError('a bug')],
    [70, 'ERR_UNEXPECTED', 'not even an error'],
    [70, 'ERR_UNEXPECTED', undefined],
  ])('%i, and the code %s: %s', (exitCode, code, error) => {
    expect(describeFailure(error)).toMatchObject({ exitCode, code })
  })
})

/** An error that a request to an MCP server failed with. */
function ofMcp(error: unknown): unknown {
  return describeMcpError(error, new URL('https://mcp.example.com/mcp?tenant=1'), 30)
}

function http(status: number): SdkHttpError {
  const data = { status, text: 'no such page' }
  return new SdkHttpError(SdkErrorCode.ClientHttpNotImplemented, `HTTP ${status}`, data)
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

  it('has the message of the cause when its own does not explain the error', () => {
    const error = new SignerError('ERR_SIGNER_BACKEND', 'x could not sign; the cause says why', {
      cause: new RangeError('HSM on fire'),
    })
    expect(message(error)).toBe('x could not sign: RangeError: HSM on fire')
  })

  it('names options as they are named on the command line', () => {
    const config = (text: string) => message(new SignerError('ERR_SIGNER_CONFIG', text))
    expect(config('or set "allowSharedFiles" there')).toBe('or give --allow-shared-files there')
    expect(config('raise "timeoutSeconds"')).toBe('raise --timeout')
    expect(config('check "keyId" (an alias is written alias/NAME) and region')).toBe(
      'check the key URI (an alias is written awskms:///alias/NAME) and region',
    )
    expect(config('The private key is encrypted; give its "passphrase"')).toBe(
      'The private key is encrypted; give its passphrase with --passphrase-file or COUNTERSIGN_PASSPHRASE',
    )
    expect(config('the token wants a login; give its "pin"')).toBe(
      'the token wants a login; give its PIN with --pin-file or COUNTERSIGN_PIN',
    )
  })

  it('points to the URL of an MCP server when nothing is there', () => {
    expect(message(ofMcp(http(404)))).toBe(
      'The MCP server https://mcp.example.com/mcp answered with HTTP status 404: no such page; check its URL',
    )
  })

  it('says how long the command waited when there was no answer in time', () => {
    const late = new OAuthError('ERR_OAUTH_TIMEOUT', 'The token endpoint did not answer in time')
    expect(describeFailure(late, 2.5).message).toBe(
      'The token endpoint did not answer within 2.5 s',
    )
    expect(message(ofMcp(new DOMException('', 'TimeoutError')))).toBe(
      'The MCP server https://mcp.example.com/mcp did not answer within 30 s; raise --timeout if it needs longer',
    )
  })

  it('says what to do when an authorization server refuses', () => {
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

  it('is one line of limited length that cannot control a terminal', () => {
    expect(message(new UsageError('one\n  two\x1b[2J\u202e'))).toBe('one two\ufffd[2J\ufffd')
    expect(message(new UsageError('x'.repeat(10_000))).length).toBeLessThan(2100)
  })
})
