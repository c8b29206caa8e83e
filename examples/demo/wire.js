// @ts-check

/** @typedef {import('./observe.js').Exchange} Exchange */

/**
 * @param {readonly Exchange[]} exchanges
 * @param {string} what
 * @param {(exchange: Exchange) => boolean} matches
 */
export function findExchange(exchanges, what, matches) {
  const found = exchanges.find(matches)
  if (found === undefined) throw new Error(`no ${what} went over the wire`)
  return found
}

/**
 * Matches the request for a well-known document, RFC 8615.
 *
 * @param {string} name
 */
export const isWellKnown =
  (name = '') =>
  (/** @type {Exchange} */ { url }) =>
    url.pathname.startsWith(`/.well-known/${name}`)

/**
 * The parameters of a challenge, RFC 9110 §11.2.
 *
 * @param {Exchange} exchange
 * @returns {Record<string, unknown>}
 */
export function challengeOf({ headers }) {
  const challenge = headers.get('www-authenticate') ?? ''
  const parameters = challenge.matchAll(/(\w+)="([^"]*)"/g)
  return Object.fromEntries([...parameters].map(([, name, value]) => [name, value]))
}

/**
 * The claims of a JWT, or the octets of its signature, RFC 7515 §7.1.
 *
 * @param {unknown} jwt  in compact serialization
 */
export function partsOf(jwt) {
  const [, payload = '', signature = ''] = String(jwt).split('.')
  return {
    claims: members(JSON.parse(Buffer.from(payload, 'base64url').toString())),
    signatureWidth: Buffer.from(signature, 'base64url').length,
  }
}

/**
 * A JSON object of which nothing is known.
 *
 * @param {unknown} value
 * @returns {Record<string, unknown>}
 */
export function members(value) {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
