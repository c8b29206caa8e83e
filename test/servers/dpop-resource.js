// @ts-check
import { createHash } from 'node:crypto'
import { calculateJwkThumbprint, createRemoteJWKSet, EmbeddedJWK, errors, jwtVerify } from 'jose'

/**
 * Verifies requests with DPoP-bound tokens by the steps of RFC 9449 §4.3 and §7.1, with `jose`.
 *
 * @typedef {object} DpopResource
 * @property {(request: { method: string, url: string, headers: Headers }) => Promise<Response>} answer  200, or 401
 *   with a challenge
 * @property {(nonce: string | undefined) => void} requireNonce  refuses proofs without this nonce from now on
 * @property {(nonce: string) => void} offerNonce  sent with the next successful response, and required after it
 * @property {() => void} revokeAll  refuses from now on every token that was accepted so far
 * @property {string[]} proofs  every proof that was accepted
 */

const maxAgeSeconds = 60

/**
 * @param {{ issuer: string, jwksUri: string, audience: () => string, metadataUrl?: () => string }} expected
 * @returns {DpopResource}
 */
export function dpopResource({ issuer, jwksUri, audience, metadataUrl }) {
  const keys = createRemoteJWKSet(new URL(jwksUri))
  /** @type {string[]} */
  const proofs = []
  /** @type {Set<unknown>} */
  const seen = new Set()
  /** @type {Set<string>} */
  const accepted = new Set()
  /** @type {Set<string>} */
  const revoked = new Set()
  /** @type {string | undefined} */
  let nonce
  /** @type {string | undefined} */
  let offered

  /** @param {{ method: string, url: string, headers: Headers }} request */
  async function verify({ method, url, headers }) {
    const token = /^DPoP (\S+)$/i.exec(headers.get('authorization') ?? '')?.[1]
    if (token === undefined) throw new Refusal(undefined, 'no DPoP-bound token')
    if (revoked.has(token)) throw new Refusal('invalid_token', 'the token was revoked')
    const { payload } = await jwtVerify(token, keys, {
      issuer,
      audience: audience(),
      typ: 'at+jwt',
    }).catch((error) => {
      throw new Refusal('invalid_token', String(error))
    })
    const proof = headers.get('dpop') ?? ''
    if (proof === '' || proof.includes(','))
      throw new Refusal('invalid_dpop_proof', 'not one proof')
    const { payload: claims, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
      typ: 'dpop+jwt',
      algorithms: ['ES256', 'ES384', 'PS256', 'RS256', 'EdDSA', 'Ed25519'],
      requiredClaims: ['jti', 'htm', 'htu', 'iat', 'ath'],
      maxTokenAge: maxAgeSeconds,
    }).catch((error) => {
      throw new Refusal('invalid_dpop_proof', error instanceof errors.JOSEError ? error.code : '')
    })
    const { origin, pathname } = new URL(url)
    if (claims['htm'] !== method) throw new Refusal('invalid_dpop_proof', 'htm')
    if (new URL(String(claims['htu'])).href !== origin + pathname)
      throw new Refusal('invalid_dpop_proof', 'htu')
    if (claims['nonce'] !== nonce && nonce !== undefined)
      throw new Refusal('use_dpop_nonce', 'nonce')
    if (claims['ath'] !== createHash('sha256').update(token).digest('base64url'))
      throw new Refusal('invalid_dpop_proof', 'ath')
    const { jkt } = /** @type {{ jkt?: string }} */ (payload['cnf'] ?? {})
    if (jkt !== (await calculateJwkThumbprint(protectedHeader.jwk ?? {})))
      throw new Refusal('invalid_token', 'the token is bound to another key')
    if (seen.has(claims.jti)) throw new Refusal('invalid_dpop_proof', 'replayed')
    seen.add(claims.jti)
    accepted.add(token)
    proofs.push(proof)
  }

  return {
    proofs,
    requireNonce(value) {
      nonce = value
    },
    offerNonce(value) {
      offered = value
    },
    revokeAll() {
      for (const token of accepted) revoked.add(token)
    },
    async answer(request) {
      try {
        await verify(request)
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
        const parameters = error.code === undefined ? '' : ` error="${error.code}",`
        const metadata = metadataUrl === undefined ? '' : ` resource_metadata="${metadataUrl()}",`
        const challenge = `DPoP${parameters}${metadata} algs="ES256 EdDSA"`
        return new Response(error.message, {
          status: 401,
          headers: {
            'www-authenticate': challenge,
            ...(error.code === 'use_dpop_nonce' && nonce && { 'dpop-nonce': nonce }),
          },
        })
      }
      const next = offered
      offered = undefined
      nonce = next ?? nonce
      return new Response('welcome', { headers: next === undefined ? {} : { 'dpop-nonce': next } })
    },
  }
}

class Refusal extends Error {
  /**
   * @param {string | undefined} code
   * @param {string} message
   */
  constructor(code, message) {
    super(message)
    this.code = code
  }
}
