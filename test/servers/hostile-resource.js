// @ts-check
import { startScriptedServer } from './scripted-server.js'

/** @typedef {import('./scripted-server.js').Answer} Answer */
/** @typedef {import('./scripted-server.js').ScriptedRequest} ScriptedRequest */

/**
 * @typedef {object} ResourceOptions
 * @property {readonly string[]} authorizationServers  in its metadata
 * @property {string} [resource]  the resource in its metadata; its own URL by default
 * @property {readonly string[]} [scopesSupported]
 * @property {Readonly<Record<string, unknown>>} [metadata]  further members of its metadata
 * @property {(request: ScriptedRequest, resource: Resource) => Answer | Promise<Answer>} [answer]  to everything but
 *   metadata requests; by default a 401 challenge
 */

/**
 * @typedef {object} Resource
 * @property {string} url  the resource, `http://127.0.0.1:PORT/mcp`
 * @property {string} resourceMetadataUrl
 */

/**
 * A protected resource whose metadata (RFC 9728) and responses a test chooses.
 *
 * @param {ResourceOptions} options
 * @returns {Promise<import('./scripted-server.js').ScriptedServer & Resource>}
 */
export async function startScriptedResource(options) {
  const { answer = (_request, self) => unauthorized(self) } = options
  const server = await startScriptedServer((request) => {
    if (request.path === new URL(resource.resourceMetadataUrl).pathname) {
      return Response.json({
        resource: options.resource ?? resource.url,
        authorization_servers: options.authorizationServers,
        scopes_supported: options.scopesSupported,
        ...options.metadata,
      })
    }
    if (request.path.startsWith('/.well-known/')) return new Response(null, { status: 404 })
    return answer(request, resource)
  })
  const resource = {
    url: `${server.url}/mcp`,
    resourceMetadataUrl: `${server.url}/.well-known/oauth-protected-resource/mcp`,
  }
  return {
    ...resource,
    requests: server.requests,
    get credentials() {
      return server.credentials
    },
    close: server.close,
  }
}

/**
 * Asks for a token, or for another one (RFC 6750 §3).
 *
 * @param {Resource} resource
 * @param {{ scope?: string }} [options]
 * @returns {Response}
 */
export function unauthorized(resource, { scope } = {}) {
  return challenge(401, resource, 'invalid_token', scope)
}

/**
 * Refuses a token that lacks this scope.
 *
 * @param {Resource} resource
 * @param {string} scope
 * @returns {Response}
 */
export function insufficientScope(resource, scope) {
  return challenge(403, resource, 'insufficient_scope', scope)
}

/**
 * @param {number} status
 * @param {Resource} resource
 * @param {string} error
 * @param {string | undefined} scope
 */
function challenge(status, { resourceMetadataUrl }, error, scope) {
  const parameters = [`error="${error}"`, `resource_metadata="${resourceMetadataUrl}"`]
  if (scope !== undefined) parameters.push(`scope="${scope}"`)
  const headers = { 'www-authenticate': `Bearer ${parameters.join(', ')}` }
  return Response.json({ error }, { status, headers })
}
