import type { SignerErrorCode } from '@countersign/core'
import type { Fault } from '../servers/azure-key-vault/faults.js'
import type { KeyKind } from '../support/key-pairs.js'

/** What comes of a fault. */
export interface FaultRow {
  readonly fault: Fault
  readonly code: SignerErrorCode
  readonly retryable: boolean
  /** Requests that were made, those of the SDK's retries included. */
  readonly calls: number
  /** The key that it is tried with; P-256 when absent. */
  readonly kind?: KeyKind
  readonly alg?: 'ES384' | 'PS256'
}

const unavailable = { code: 'ERR_SIGNER_UNAVAILABLE', retryable: true } as const
const integrity = { code: 'ERR_SIGNER_INTEGRITY', retryable: false, calls: 1 } as const

/** Faults of the way and of the service, which a load and a signature meet alike. */
export const ofService: readonly FaultRow[] = [
  { fault: 'throttle', code: 'ERR_SIGNER_THROTTLED', retryable: true, calls: 4 },
  { fault: 'internal-error', ...unavailable, calls: 4 },
  { fault: 'unavailable', ...unavailable, calls: 4 },
  { fault: 'unavailable-without-body', ...unavailable, calls: 4 },
  { fault: 'error-page', ...unavailable, calls: 4 },
  { fault: 'cut', ...unavailable, calls: 4 },
  { fault: 'cut-short', ...unavailable, calls: 1 },
  { fault: 'page', ...unavailable, calls: 1 },
  { fault: 'page-as-json', ...unavailable, calls: 1 },
  { fault: 'denied-without-body', code: 'ERR_SIGNER_ACCESS_DENIED', retryable: false, calls: 1 },
  { fault: 'hang', code: 'ERR_SIGNER_TIMEOUT', retryable: true, calls: 1 },
]

/** Signatures that are none of the key's. */
export const ofSignature: readonly FaultRow[] = [
  { fault: 'no-signature', ...integrity },
  { fault: 'empty-signature', ...integrity },
  { fault: 'short-signature', ...integrity },
  { fault: 'flipped-bit', ...integrity },
  { fault: 'flipped-bit', ...integrity, kind: 'RSA-2048' },
  { fault: 'other-key', ...integrity },
  { fault: 'other-key', ...integrity, kind: 'RSA-2048' },
  { fault: 'other-version', ...integrity },
  { fault: 'other-version-unnamed', ...integrity },
  { fault: 'der-signature', ...integrity },
  { fault: 'es384-by-p256', ...integrity, kind: 'P-384', alg: 'ES384' },
  { fault: 'pss-is-pkcs1', ...integrity, kind: 'RSA-2048', alg: 'PS256' },
]
