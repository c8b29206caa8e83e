// @ts-check
import { decodeJwt, decodeProtectedHeader } from 'jose'

/**
 * @typedef {object} TokenRequest
 * @property {Record<string, string | string[] | undefined>} form  the body's parameters
 * @property {import('node:http').IncomingHttpHeaders} headers
 * @property {{ header: import('jose').ProtectedHeaderParameters, claims: import('jose').JWTPayload } | undefined} assertion
 * @property {number | undefined} status  undefined until the answer has been sent
 * @property {string | undefined} refusal  why the server refused; the response to the client says less
 */

/**
 * Records the token requests of all clients, and their outcomes.
 *
 * @param {import('oidc-provider/lib/provider.js').Provider} provider
 * @returns {TokenRequest[]}
 */
export function recordTokenRequests(provider) {
  /** @type {TokenRequest[]} */
  const tokenRequests = []
  /** @type {WeakMap<import('node:http').IncomingMessage, string>} */
  const refusals = new WeakMap()
  for (const event of /** @type {const} */ (['grant.error', 'server_error'])) {
    provider.on(event, ({ req }, error) => {
      refusals.set(req, error.error_detail ?? error.error_description ?? error.message)
    })
  }
  provider.use(async (context, next) => {
    const { req } = context
    if (req.method !== 'POST' || req.url !== '/token') return next()
    /** @type {TokenRequest} */
    const entry = {
      form: {},
      headers: req.headers,
      assertion: undefined,
      status: undefined,
      refusal: undefined,
    }
    tokenRequests.push(entry)
    await next()
    entry.form = { ...context.oidc?.body }
    entry.assertion = decodeAssertion(entry.form['client_assertion'])
    entry.status = context.status
    entry.refusal = refusals.get(req)
  })
  return tokenRequests
}

/** @param {string | string[] | undefined} assertion */
function decodeAssertion(assertion) {
  if (typeof assertion !== 'string') return undefined
  try {
    return { header: decodeProtectedHeader(assertion), claims: decodeJwt(assertion) }
  } catch {
    return undefined
  }
}
