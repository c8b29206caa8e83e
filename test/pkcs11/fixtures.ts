import { constants, createPublicKey, type KeyObject, verify } from 'node:crypto'
import type { Signer } from '@countersign/core'
import type { Pkcs11SignerOptions } from '@countersign/pkcs11'

/** The two ways to run a module, for `describe.each`. */
export const modes = [
  { where: 'in a process of its own', isolate: true },
  { where: 'in this process', isolate: false },
] as const

export const input = Buffer.from('what is signed here')

/** Whether a signature over {@link input} is that of a signer's published key, by node:crypto alone. */
export function isSignatureOf(
  { alg, publicJwk }: Pick<Signer, 'alg' | 'publicJwk'>,
  signature: Uint8Array,
): boolean {
  const key = createPublicKey({ key: { ...publicJwk }, format: 'jwk' })
  return isSignature(alg, key, signature)
}

export function isSignature(alg: string, key: KeyObject, signature: Uint8Array): boolean {
  if (alg === 'EdDSA' || alg === 'Ed25519') return verify(null, input, key, signature)
  const hash = alg === 'ES256K' ? 'sha256' : `sha${alg.slice(2)}`
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: Number(alg.slice(2)) / 8 }
  const how = alg.startsWith('PS') ? pss : { dsaEncoding: 'ieee-p1363' as const }
  return verify(hash, input, { key, ...how }, signature)
}

/** The token and the PIN of it, as options. */
export function on(
  { label, pin }: { label: string; pin: string },
  module: string,
): Pick<Pkcs11SignerOptions, 'module' | 'token' | 'pin'> {
  return { module, token: { label }, pin }
}
