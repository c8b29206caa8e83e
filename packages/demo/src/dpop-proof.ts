import { createHash } from 'node:crypto'
import { calculateJwkThumbprint, EmbeddedJWK, jwtVerify } from 'jose'

/** The algorithms of proofs that are accepted. */
export const proofAlgorithms = ['ES256', 'ES384', 'EdDSA', 'PS256', 'RS256'] as const

const maxAgeSeconds = 60

/** A bound token with a valid proof. The token itself is not verified yet. */
export interface ProvedToken {
  readonly token: string
  /** The RFC 7638 thumbprint of the key that signed the proof. */
  readonly jkt: string
}

/**
 * Makes a function that verifies the proof of a request by the steps of RFC 9449 §4.3. It rejects with the reason.
 *
 * @param url - the URL of the resource.
 */
export function proofVerifier(url: URL): (request: Request) => Promise<ProvedToken> {
  const used = new Set<string>()

  return async ({ method, headers }) => {
    const token = /^DPoP ([\x21-\x7e]+)$/i.exec(headers.get('authorization') ?? '')?.[1]
    if (token === undefined) throw new Error('there is no bound token')
    // Several headers of this name arrive as one, with commas, which no JWT has.
    const proof = headers.get('dpop') ?? ''
    const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
      typ: 'dpop+jwt',
      algorithms: [...proofAlgorithms],
      requiredClaims: ['jti', 'htm', 'htu', 'iat', 'ath'],
      maxTokenAge: maxAgeSeconds,
    })
    const { jti = '', htm, htu, ath } = payload
    if (htm !== method) throw new Error('the proof is for another method')
    if (new URL(String(htu)).href !== url.href) throw new Error('the proof is for another URL')
    if (ath !== createHash('sha256').update(token).digest('base64url')) {
      throw new Error('the proof is for another token')
    }
    if (used.has(jti)) throw new Error('the proof was used before')
    used.add(jti)
    // It would not be accepted after that time, so it need not be remembered longer.
    setTimeout(() => used.delete(jti), (maxAgeSeconds + 1) * 1000).unref()
    return { token, jkt: await calculateJwkThumbprint(protectedHeader.jwk ?? {}) }
  }
}
