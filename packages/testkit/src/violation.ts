/**
 * The checks in the order they are made. The names are stable: a name is never reused for another
 * claim. What each proves is said in the table of the package's README.
 */
export const checkNames = [
  'factory',
  'signer-shape',
  'signer-frozen',
  'no-private-members',
  'kid-non-empty',
  'alg-known',
  'verifier',
  'public-key-usable',
  'public-jwk-agrees',
  'public-jwk-canonical',
  'signs',
  'ecdsa-raw',
  'pss-salt-length',
  'signature-verifies',
  'signature-binds-input',
  'signature-width',
  'stable-identity',
  'input-view',
  'input-unchanged',
  'empty-input',
  'large-input',
  'misuse-is-type-error',
  'failure-is-signer-error',
  'jws-verifies',
  'client-assertion-verifies',
  'concurrent-signatures',
  'aborted-before-call',
  'aborted-in-flight',
  'signs-after-abort',
  'signature-unshared',
  'disposal',
] as const

/** Name of a check, such as `signature-width`. */
export type CheckName = (typeof checkNames)[number]

/** A promise of the `Signer` interface that the signer breaks. */
export interface Violation {
  /** The check that found it; stable, for filters and for reports. */
  readonly check: CheckName
  /** What was found and what was expected; nothing of a key, and nothing of what an error says. */
  readonly message: string
  /** The error that the signer answered with, where it was one. */
  readonly cause?: unknown
}
