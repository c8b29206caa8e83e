import { SignerError, type SignerErrorCode } from '@countersign/core'

/** The supported keys, for error messages. */
export const usableKeys: string = `RSA, EC (P-256, P-384, P-521, secp256k1) or Ed25519, or ML-DSA on Node.js 24.7 and later (this is ${process.versions.node})`

/** Error for input that cannot be read as a private key. */
export function unreadable(found: string): SignerError {
  return unusable(
    `The private key cannot be read: ${found}; expected PKCS#8, encrypted PKCS#8, SEC1 or PKCS#1 as PEM or DER, or a private JWK, of ${usableKeys}`,
  )
}

/** Error for a public key instead of a private key. */
export function publicKeyGiven(): SignerError {
  return unusable('This is a public key, and signing needs the private one')
}

/** Error for a symmetric secret instead of a private key. */
export function secretGiven(): SignerError {
  return unusable(
    'This is a symmetric secret, and signing needs an RSA, EC, Ed25519 or ML-DSA private key',
  )
}

/** Error for a well-formed key that cannot make a JWS signature. */
export function unusable(message: string): SignerError {
  return refusal('ERR_SIGNER_KEY_UNSUPPORTED', message)
}

/** Error for an encrypted key whose passphrase is missing or wrong. */
export function denied(message: string): SignerError {
  return refusal('ERR_SIGNER_ACCESS_DENIED', message)
}

/** Error for a private key that does not belong to the given public key. */
export function mismatch(cause?: unknown): SignerError {
  return refusal(
    'ERR_SIGNER_INTEGRITY',
    'The private key is damaged, or does not belong to the public key that was given with it',
    cause,
  )
}

function refusal(code: SignerErrorCode, message: string, cause?: unknown): SignerError {
  return new SignerError(code, message, { backend: 'local', cause })
}
