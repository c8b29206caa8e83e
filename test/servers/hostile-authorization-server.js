// @ts-check
import { startScriptedServer } from './scripted-server.js'
import { tokenResponse } from './token-responses.js'

// Authorization servers with false metadata. Each one records its requests, so that a test can check that no
// credentials arrived.

/** @typedef {import('./scripted-server.js').ScriptedServer} ScriptedServer */
/** @typedef {import('./scripted-server.js').Script} Script */
/** @typedef {import('./scripted-server.js').Answer} Answer */

/** TEST-NET-1 (RFC 5737): plain http, off loopback, is not assigned. */
export const PLAIN_HTTP_TOKEN_ENDPOINT = 'http://192.0.2.1/token'

/**
 * Members that replace those of honest authorization server metadata (RFC 8414); `undefined`
 * leaves one out.
 *
 * @typedef {Record<string, unknown>} Metadata
 */

/**
 * An authorization server whose metadata and responses a test chooses.
 *
 * @param {object} [options]
 * @param {Metadata | ((url: string) => Metadata)} [options.metadata]  may depend on its own URL
 * @param {Script} [options.token]  what the token endpoint does; by default it grants a token
 * @param {Script} [options.other]  what is at its other paths; by default nothing
 * @param {() => number} [options.now]  its clock, in milliseconds, as in `Date` headers
 * @returns {Promise<ScriptedServer>}
 */
export async function startScriptedAuthorizationServer({
  metadata = {},
  token = () => tokenResponse(),
  other = () => new Response(null, { status: 404 }),
  now = Date.now,
} = {}) {
  /** @type {Script} */
  const script = (request) => {
    if (request.path === '/token') return token(request)
    if (!isAuthorizationServerMetadata(request.path)) return other(request)
    const changes = typeof metadata === 'function' ? metadata(server.url) : metadata
    return Response.json({ ...honestMetadata(server.url), ...changes })
  }
  const server = await startScriptedServer(async (request) => {
    const answer = await script(request)
    if (answer instanceof Response) answer.headers.set('date', new Date(now()).toUTCString())
    return answer
  })
  return server
}

/** @param {string} path */
function isAuthorizationServerMetadata(path) {
  return /^\/\.well-known\/(oauth-authorization-server|openid-configuration)/.test(path)
}

/** @param {string} url */
function honestMetadata(url) {
  return {
    issuer: url,
    authorization_endpoint: `${url}/authorize`,
    token_endpoint: `${url}/token`,
    jwks_uri: `${url}/jwks`,
    response_types_supported: ['code'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
    grant_types_supported: ['client_credentials'],
    token_endpoint_auth_methods_supported: [
      'private_key_jwt',
      'client_secret_basic',
      'client_secret_post',
    ],
    token_endpoint_auth_signing_alg_values_supported: ['ES256', 'RS256', 'PS256', 'EdDSA'],
  }
}

/**
 * Claims the issuer of an honest server and keeps its own token endpoint: an assertion for
 * that issuer would authenticate the thief there.
 *
 * @param {string} honestIssuer
 */
export function startIssuerThief(honestIssuer) {
  return startScriptedAuthorizationServer({ metadata: { issuer: honestIssuer } })
}

/** Returns the metadata of another issuer on the same host. */
export function startIssuerMixUp() {
  return startScriptedAuthorizationServer({
    metadata: (url) => ({ issuer: `${url}/another-tenant` }),
  })
}

/** Names a token endpoint on another machine, over plain http. */
export function startPlainHttpTokenEndpoint() {
  return startScriptedAuthorizationServer({
    metadata: { token_endpoint: PLAIN_HTTP_TOKEN_ENDPOINT },
  })
}

/** Lets clients authenticate with a secret only. */
export function startWithoutPrivateKeyJwt() {
  return startScriptedAuthorizationServer({
    metadata: {
      token_endpoint_auth_methods_supported: ['client_secret_basic'],
      token_endpoint_auth_signing_alg_values_supported: undefined,
    },
  })
}

/**
 * Accepts assertions, signed with these algorithms and no other.
 *
 * @param {readonly string[]} algs
 */
export function startAcceptingOnly(algs) {
  return startScriptedAuthorizationServer({
    metadata: { token_endpoint_auth_signing_alg_values_supported: algs },
  })
}

/** Lists neither methods nor algorithms. */
export function startSilentAboutAuthentication() {
  return startScriptedAuthorizationServer({
    metadata: {
      token_endpoint_auth_methods_supported: undefined,
      token_endpoint_auth_signing_alg_values_supported: undefined,
    },
  })
}

/**
 * A server with a token endpoint and no metadata at all.
 *
 * @param {Script} [token]
 */
export function startWithoutMetadata(token = () => tokenResponse()) {
  return startScriptedServer((request) =>
    request.path === '/token' ? token(request) : new Response(null, { status: 404 }),
  )
}
