// @ts-check
import { createRemoteJWKSet, jwtVerify } from 'jose'

/**
 * What an MCP server knows about the bearer of a token; both SDK majors call it `AuthInfo`.
 *
 * @typedef {object} VerifiedToken
 * @property {string} token
 * @property {string} clientId
 * @property {string[]} scopes
 * @property {number} expiresAt  seconds since the epoch
 */

/**
 * @typedef {object} AccessTokenVerifier
 * @property {(token: string) => Promise<VerifiedToken>} verify  rejects with the reason
 * @property {(token: string) => void} revoke
 * @property {() => void} revokeAll  refuses from now on every token accepted so far
 */

/**
 * Verifies JWT access tokens (RFC 9068) against the authorization server's published keys.
 *
 * @param {{ issuer: string, jwksUri: string, audience: string }} expected
 * @returns {AccessTokenVerifier}
 */
export function accessTokenVerifier({ issuer, jwksUri, audience }) {
  const keys = createRemoteJWKSet(new URL(jwksUri))
  /** @type {Set<string>} */
  const accepted = new Set()
  /** @type {Set<string>} */
  const revoked = new Set()

  return {
    async verify(token) {
      if (revoked.has(token)) throw new Error('the token was revoked')
      const { payload } = await jwtVerify(token, keys, {
        issuer,
        audience,
        typ: 'at+jwt',
        requiredClaims: ['exp', 'client_id'],
      })
      accepted.add(token)
      return {
        token,
        clientId: String(payload['client_id']),
        scopes: String(payload['scope'] ?? '').split(' '),
        expiresAt: Number(payload.exp),
      }
    },
    revoke(token) {
      revoked.add(token)
    },
    revokeAll() {
      for (const token of accepted) revoked.add(token)
    },
  }
}
