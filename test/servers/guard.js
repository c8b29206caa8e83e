// @ts-check
import { request as sendRequest } from 'node:http'
import { accessTokenVerifier } from './access-tokens.js'
import { listenOnLoopback } from './loopback.js'

/**
 * @typedef {object} GuardOptions
 * @property {string} target  origin of the server behind, such as `http://127.0.0.1:3001`
 * @property {import('./authorization-server.js').AuthorizationServer} authorizationServer
 */

/**
 * @typedef {object} Guard
 * @property {string} url  the MCP endpoint, which is also the resource identifier (RFC 8707)
 * @property {import('./loopback.js').RecordedRequest[]} requests  oldest first
 * @property {() => void} revokeAll  answers 401 to every token accepted so far
 * @property {() => Promise<void>} close
 */

const path = '/mcp'
const metadataPath = `/.well-known/oauth-protected-resource${path}`
const scope = 'tools'

/**
 * Protects an MCP server without OAuth: a reverse proxy that verifies the access token, answers 401 with
 * the location of the resource metadata (RFC 9728), and forwards everything else without the token.
 *
 * @param {GuardOptions} options
 * @returns {Promise<Guard>}
 */
export async function startGuard({ target, authorizationServer }) {
  /** @type {import('node:http').RequestListener} */
  let listener = (_request, response) => response.writeHead(503).end()
  const server = await listenOnLoopback((request, response) => listener(request, response))
  const url = `${server.origin}${path}`
  const { issuer, metadata } = authorizationServer
  authorizationServer.registerResource(url, [scope])
  const tokens = accessTokenVerifier({ issuer, jwksUri: metadata.jwks_uri, audience: url })
  const document = { resource: url, authorization_servers: [issuer], scopes_supported: [scope] }

  listener = async (request, response) => {
    if (request.url === metadataPath) {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(document))
      return
    }
    const [, token] = /^Bearer +(.+)$/i.exec(request.headers.authorization ?? '') ?? []
    const isAccepted =
      token !== undefined &&
      (await tokens.verify(token).then(
        () => true,
        () => false,
      ))
    if (isAccepted) forward(request, response, target)
    else refuse(response, `${server.origin}${metadataPath}`, token !== undefined)
  }
  return { url, requests: server.requests, revokeAll: tokens.revokeAll, close: server.close }
}

/**
 * @param {import('node:http').ServerResponse} response
 * @param {string} metadataUrl
 * @param {boolean} hadToken
 */
function refuse(response, metadataUrl, hadToken) {
  const error = hadToken ? ', error="invalid_token"' : ''
  const challenge = `Bearer resource_metadata="${metadataUrl}", scope="${scope}"${error}`
  response.writeHead(401, { 'www-authenticate': challenge }).end()
}

/**
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 * @param {string} target
 */
function forward(request, response, target) {
  const { method, url, headers } = request
  const { authorization: _, host: __, ...rest } = headers
  const behind = sendRequest(new URL(url ?? '/', target), { method, headers: rest }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    response.flushHeaders()
    answer.pipe(response)
    answer.on('error', () => response.destroy())
  })
  behind.on('error', () =>
    response.headersSent ? response.destroy() : response.writeHead(502).end(),
  )
  response.on('close', () => behind.destroy())
  request.pipe(behind)
}
