import { describe, expect, it } from 'vitest'
import { describeCredentialsError, describeError } from '../src/errors.ts'

const call = {
  permission: 'cloudkms.cryptoKeyVersions.useToSign',
  resource: 'projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1',
}

const failure = (code: number, words: string) =>
  Object.assign(new Error(`${code} ${words}`), { code })

/** The service, and other implementations of it, put one refusal in different words. */
const rows: readonly (readonly [number, string, string])[] = [
  [
    9,
    'FAILED_PRECONDITION: projects/p is not enabled, current state is: DISABLED.',
    'KEY_DISABLED',
  ],
  [9, 'FAILED_PRECONDITION: key version projects/p is not enabled', 'KEY_DISABLED'],
  [9, 'FAILED_PRECONDITION: CryptoKeyVersion is DESTROYED', 'KEY_DISABLED'],
  [
    9,
    'FAILED_PRECONDITION: key is not enabled, current state is: PENDING_GENERATION',
    'KEY_DISABLED',
  ],
  [9, 'FAILED_PRECONDITION: key version projects/p is scheduled for destruction', 'KEY_DISABLED'],
  [9, 'FAILED_PRECONDITION', 'BACKEND'],
  [9, 'FAILED_PRECONDITION: the EKM rejected the request for the external key', 'BACKEND'],
  [9, 'FAILED_PRECONDITION: Permission was denied when accessing the key', 'ACCESS_DENIED'],
  [6, 'ALREADY_EXISTS', 'BACKEND'],
  [11, 'OUT_OF_RANGE', 'BACKEND'],
  [9, 'FAILED_PRECONDITION: CryptoKey has purpose ENCRYPT_DECRYPT', 'KEY_UNSUPPORTED'],
  [9, 'FAILED_PRECONDITION: keys with algorithm X do not contain a public key', 'KEY_UNSUPPORTED'],
  [9, 'FAILED_PRECONDITION: keys with algorithm X may not be used for signing', 'KEY_UNSUPPORTED'],
  [
    9,
    'FAILED_PRECONDITION: Google Cloud KMS API has not been used in this project',
    'ACCESS_DENIED',
  ],
  [7, 'PERMISSION_DENIED: Cloud KMS API has not been used in project 1 before', 'ACCESS_DENIED'],
  [7, 'PERMISSION_DENIED', 'ACCESS_DENIED'],
  [3, 'INVALID_ARGUMENT: invalid digest checksum', 'INTEGRITY'],
  [3, 'INVALID_ARGUMENT: The checksum in field data_crc32c did not match', 'INTEGRITY'],
  [3, 'INVALID_ARGUMENT: malformed name', 'CONFIG'],
  [2, 'UNKNOWN: Getting metadata from plugin failed with error: invalid_grant', 'ACCESS_DENIED'],
  [2, 'UNKNOWN: Getting metadata from plugin failed with error: socket hang up', 'UNAVAILABLE'],
]

describe('what the service says', () => {
  it.each(rows)('%i %s is %s', (code, words, expected) => {
    expect(describeError(failure(code, words), call)?.code).toBe(`ERR_SIGNER_${expected}`)
  })

  it.each([undefined, null, '', 'words', 7, {}, new Error('x'), failure(99, 'x')])(
    'is not named when it is %j',
    (error) => {
      expect(describeError(error, call)).toBeUndefined()
    },
  )

  it('is not repeated', () => {
    for (let code = 0; code < 20; code++) {
      expect(describeError(failure(code, 'canary'), call)?.message ?? '').not.toContain('canary')
    }
  })
})

describe('what keeps the SDK from its first call', () => {
  const looked = 'Could not load the default credentials. Browse to https://cloud.google.com/docs'
  it.each([
    [new Error(looked), 'ACCESS_DENIED'],
    [Object.assign(new Error('no such file'), { code: 'ENOENT' }), 'ACCESS_DENIED'],
    [new SyntaxError('Unexpected token'), 'ACCESS_DENIED'],
    [undefined, 'ACCESS_DENIED'],
    [Object.assign(new Error('no'), { code: 'ENOTFOUND' }), 'UNAVAILABLE'],
    [new Error('request failed: connect ECONNREFUSED 127.0.0.1:1'), 'UNAVAILABLE'],
  ])('(%s) is %s', (error, expected) => {
    expect(describeCredentialsError(error).code).toBe(`ERR_SIGNER_${expected}`)
    expect(describeError(new Error(looked), call)?.code).toBe('ERR_SIGNER_ACCESS_DENIED')
  })
})
