// @ts-check

// Valid and invalid responses of a token endpoint. Each call makes a new one.

/** @typedef {import('./scripted-server.js').Answer} Answer */
/** @typedef {import('./scripted-server.js').Script} Script */

/**
 * A token response (RFC 6749 §5.1). A member given as `undefined` is left out, any other replaces.
 *
 * @param {Record<string, unknown>} [members]
 * @returns {Response}
 */
export function tokenResponse(members = {}) {
  const good = { access_token: 'access-token', token_type: 'Bearer', expires_in: 3600 }
  return Response.json({ ...good, ...members }, { headers: { 'cache-control': 'no-store' } })
}

/**
 * An OAuth error (RFC 6749 §5.2). `invalid_client` comes with 401 from some servers, 400 from others.
 *
 * @param {string} error
 * @param {{ status?: number, description?: string }} [options]
 * @returns {Response}
 */
export function errorResponse(error, { status = 400, description } = {}) {
  return Response.json({ error, error_description: description }, { status })
}

/** @returns {Response} what a proxy sends when the server behind it is down */
export function htmlBadGateway() {
  const headers = { 'content-type': 'text/html' }
  return new Response('<html><h1>502 Bad Gateway</h1></html>', { status: 502, headers })
}

/** @returns {Response} */
export function jsonServerError() {
  return errorResponse('server_error', { status: 500, description: 'the database is away' })
}

/**
 * @param {string} retryAfter  seconds, or an HTTP date (RFC 9110 §10.2.3)
 * @returns {Response}
 */
export function tooManyRequests(retryAfter) {
  const headers = { 'retry-after': retryAfter }
  return Response.json({ error: 'slow_down' }, { status: 429, headers })
}

/**
 * @param {string} location
 * @param {number} [status]  307 and 308 ask for the body to be sent again
 * @returns {Response}
 */
export function redirect(location, status = 307) {
  return new Response(null, { status, headers: { location } })
}

/** @returns {Response} a success whose JSON is truncated */
export function truncatedJson() {
  const headers = { 'content-type': 'application/json' }
  return new Response('{"access_token":"access-tok', { headers })
}

/**
 * @param {number} [bytes]
 * @returns {Response} a success padded to this many bytes and a few more
 */
export function enormousBody(bytes = 64 * 1024 * 1024) {
  return tokenResponse({ padding: 'x'.repeat(bytes) })
}

/** @type {Answer} never answers; the connection ends with the server */
export const hang = () => {}

/** @type {Answer} sends the head and part of the body, then cuts the connection */
export const cutConnection = (response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '200' })
  response.write('{"access_token":', () => response.destroy())
}

/**
 * One response for each request, in this order; the last one is repeated.
 *
 * @param {...(() => Answer)} answers
 * @returns {Script}
 */
export function inTurn(...answers) {
  let turn = 0
  return () => {
    const answer = answers[Math.min(turn, answers.length - 1)]
    turn += 1
    return answer === undefined ? htmlBadGateway() : answer()
  }
}
