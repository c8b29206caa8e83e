import type { SignerErrorCode } from '@countersign/core'
import type { FaultName } from '../servers/aws-kms.js'

/** What a fault of AWS KMS is to the caller of a signer. */
export interface FaultRow {
  readonly code: SignerErrorCode
  readonly retryable: boolean
  /** Network calls that one signature makes, the SDK's own retries included. */
  readonly calls: number
  /** Part of the message that tells this failure from others of its code. */
  readonly says: string
  /** Whether only answers to Sign have what is spoilt. */
  readonly signatureOnly?: boolean
}

/** The SDK makes three attempts unless it is told otherwise. */
const attempts = 3

const unavailable = (says: string, calls = attempts): FaultRow => ({
  code: 'ERR_SIGNER_UNAVAILABLE',
  retryable: true,
  calls,
  says,
})

const denied = (says: string): FaultRow => ({
  code: 'ERR_SIGNER_ACCESS_DENIED',
  retryable: false,
  calls: 1,
  says,
})

const integrity = (says: string, signatureOnly = true): FaultRow => ({
  code: 'ERR_SIGNER_INTEGRITY',
  retryable: false,
  calls: 1,
  says,
  signatureOnly,
})

/** The fault matrix of the backend, by the faults of `test/servers/aws-kms.js`. */
export const faultTable: { readonly [fault in FaultName]?: FaultRow } = {
  throttle: {
    code: 'ERR_SIGNER_THROTTLED',
    retryable: true,
    calls: attempts,
    says: 'sign less often',
  },
  'internal error': unavailable('AWS KMS is failing'),
  'dependency timeout': unavailable('AWS KMS is failing'),
  'key unavailable': unavailable('AWS KMS is failing'),
  'server error': unavailable('AWS KMS is failing'),
  cut: unavailable('the connection was cut (ECONNRESET)'),
  'cut in the body': unavailable('the connection was cut (ECONNRESET)'),
  html: unavailable('What answered is not AWS KMS (HTTP status 502)'),
  'a page that signs in': unavailable('What answered is not AWS KMS (HTTP status 200)', 1),
  'no JSON': unavailable('What answered is not AWS KMS (HTTP status 200)', 1),
  'access denied': denied('need kms:GetPublicKey and kms:Sign on it'),
  'role denied': denied('AWS denies sts:AssumeRole to these credentials'),
  'expired token': denied('credentials have expired; renew them'),
  'unknown access key': denied('check access key and session token'),
  'wrong secret': denied('check secret access key, region and clock'),
  'unknown failure': {
    code: 'ERR_SIGNER_BACKEND',
    retryable: false,
    calls: 1,
    says: 'the cause says why',
  },
  'empty answer': integrity('another key', false),
  'no key id': integrity('another key', false),
  'other name': integrity('another key', false),
  'other key, by its name': integrity('signed with another key'),
  'no signature': integrity('returned no signature'),
  'empty signature': integrity('returned no signature'),
  'flipped bit': integrity('does not verify'),
  'other key': integrity('does not verify'),
}
