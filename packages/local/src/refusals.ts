import { SignerError, type SignerErrorCode } from '@countersign/core'

/** The keys that sign, for the end of a sentence. */
export const usableKeys: string = `RSA, EC (P-256, P-384, P-521, secp256k1) or Ed25519, or ML-DSA on Node.js 24.7 and later (this is ${process.versions.node})`

/** Something that is no readable private key. */
export function unreadable(found: string): SignerError {
  return unusable(
    `The private key cannot be read: ${found}; expected PKCS#8, encrypted PKCS#8, SEC1 or PKCS#1 as PEM or DER, or a private JWK, of ${usableKeys}`,
  )
}

/** The public half, where the private one is needed. */
export function publicKeyGiven(): SignerError {
  return unusable('This is a public key, and signing needs the private one')
}

/** A symmetric secret, where a private key is needed. */
export function secretGiven(): SignerError {
  return unusable(
    'This is a symmetric secret, and signing needs an RSA, EC, Ed25519 or ML-DSA private key',
  )
}

/** A key that is well-formed but cannot make a JWS signature. */
export function unusable(message: string): SignerError {
  return refusal('ERR_SIGNER_KEY_UNSUPPORTED', message)
}

/** A key that its passphrase is missing for. */
export function denied(message: string): SignerError {
  return refusal('ERR_SIGNER_ACCESS_DENIED', message)
}

/** A private half that makes no signatures for the public half it was given with. */
export function mismatch(cause?: unknown): SignerError {
  return refusal(
    'ERR_SIGNER_INTEGRITY',
    'The private key is damaged, or does not belong to the public key that stands beside it',
    cause,
  )
}

function refusal(code: SignerErrorCode, message: string, cause?: unknown): SignerError {
  return new SignerError(code, message, { backend: 'local', cause })
}
