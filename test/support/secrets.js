// @ts-check
const shapes = {
  'a private key in PEM': /-----BEGIN [A-Z ]*PRIVATE KEY/,
  'a private member of a JWK': /"d"\s*:\s*"[\w-]{20,}"/,
  'a complete JWT': /\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{20,}/,
  'a bearer token': /\bBearer\s+[\w.~+/-]{20,}/i,
  'an access token': /access_token["']?\s*[:=]\s*["']?[\w.~+/-]{20,}/,
  'a client secret': /client_secret["']?\s*[:=]\s*["']?[\w.~+/-]{8,}/,
}

/**
 * Returns the kinds of secrets that a text contains.
 *
 * @param {string} text
 * @returns {string[]}
 */
export const secretsIn = (text) =>
  Object.entries(shapes)
    .filter(([, shape]) => shape.test(text))
    .map(([name]) => name)
