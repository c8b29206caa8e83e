// @ts-check
import { randomBytes } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader, exportJWK, generateKeyPair } from 'jose'
import { clientAuthSigningAlgValues } from 'oidc-provider/lib/consts/jwa.js'
import { InvalidTarget } from 'oidc-provider/lib/helpers/errors.js'
// The package's entry point prints a warning on Node 20; the provider itself runs there.
import { Provider } from 'oidc-provider/lib/provider.js'
import { listenOnLoopback } from './loopback.js'

/**
 * Every signature algorithm this oidc-provider accepts for `private_key_jwt` on the running Node.
 *
 * @type {readonly string[]}
 */
export const CLIENT_AUTH_SIGNING_ALGS = clientAuthSigningAlgValues.filter(
  (alg) => !alg.startsWith('HS'),
)

/**
 * Client metadata as in RFC 7591 §2; the grant is always `client_credentials`.
 *
 * @typedef {object} ClientRegistration
 * @property {string} client_id
 * @property {'private_key_jwt' | 'client_secret_basic' | 'client_secret_post'} token_endpoint_auth_method
 * @property {string} [token_endpoint_auth_signing_alg]  when absent, any enabled algorithm is accepted
 * @property {{ keys: object[] }} [jwks]
 * @property {string} [jwks_uri]
 * @property {string} [client_secret]
 */

/**
 * @typedef {object} TokenRequest
 * @property {Record<string, string | string[] | undefined>} form  the body's parameters
 * @property {import('node:http').IncomingHttpHeaders} headers
 * @property {{ header: import('jose').ProtectedHeaderParameters, claims: import('jose').JWTPayload } | undefined} assertion
 * @property {number | undefined} status  undefined until the answer has been sent
 * @property {string | undefined} refusal  why the server said no; the client is told less
 */

/**
 * @typedef {object} AuthorizationServerOptions
 * @property {readonly ClientRegistration[]} [clients]
 * @property {Readonly<Record<string, readonly string[]>>} [resources]  RFC 8707 resource → its scopes
 * @property {string} [path]  `/tenant` makes the issuer `http://127.0.0.1:PORT/tenant`
 * @property {'jwt' | 'opaque'} [accessTokenFormat]
 * @property {number} [ttlSeconds]  lifetime of access tokens
 * @property {readonly string[]} [clientAuthMethods]  advertised and accepted
 * @property {readonly string[]} [clientAuthSigningAlgs]  advertised and accepted
 */

/**
 * @typedef {object} AuthorizationServer
 * @property {string} issuer
 * @property {string} url  same as `issuer`
 * @property {{ issuer: string, token_endpoint: string, jwks_uri: string }} metadata
 * @property {import('./loopback.js').RecordedRequest[]} requests
 * @property {TokenRequest[]} tokenRequests
 * @property {{ readonly discovery: number, readonly token: number }} counters
 * @property {(client: ClientRegistration) => Promise<void>} registerClient  adds or replaces one
 * @property {(resource: string, scopes: readonly string[]) => void} registerResource
 * @property {(seconds: number) => void} setTokenLifetime  for tokens issued from now on
 * @property {() => void} forget  empties the logs and sets the counters to 0
 * @property {() => Promise<void>} close
 */

/**
 * Starts oidc-provider as an OAuth authorization server for the client credentials grant, with
 * resource indicators (RFC 8707) and JWT access tokens (RFC 9068).
 *
 * @param {AuthorizationServerOptions} [options]
 * @returns {Promise<AuthorizationServer>}
 */
export async function startAuthorizationServer(options = {}) {
  const { clients = [], path = '', accessTokenFormat = 'jwt' } = options
  const resources = new Map(Object.entries(options.resources ?? {}))
  let ttlSeconds = options.ttlSeconds ?? 3600
  /** @type {TokenRequest[]} */
  const tokenRequests = []
  /** @type {Map<string, object>} */
  const records = new Map()

  /** @type {ReturnType<Provider['callback']>} */
  let answer
  const server = await listenOnLoopback((request, response) => {
    const url = withoutIssuerPath(request.url ?? '/', path)
    if (url === undefined) {
      response.writeHead(404).end()
      return
    }
    // `originalUrl` is how oidc-provider learns where it is mounted.
    Object.assign(request, { originalUrl: `${path}${url}`, url })
    void answer(request, response)
  })

  const issuer = `${server.origin}${path}`
  const provider = new Provider(issuer, {
    adapter: memoryAdapter(records),
    jwks: { keys: [await newSigningJwk()] },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    clientDefaults: {
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
      id_token_signed_response_alg: 'ES256',
    },
    clientAuthMethods: options.clientAuthMethods ?? [
      'private_key_jwt',
      'client_secret_basic',
      'client_secret_post',
    ],
    enabledJWA: {
      clientAuthSigningAlgValues: options.clientAuthSigningAlgs ?? CLIENT_AUTH_SIGNING_ALGS,
    },
    clockTolerance: 0,
    ttl: { ClientCredentials: () => ttlSeconds },
    clientBasedCORS: () => false,
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        getResourceServerInfo(/** @type {unknown} */ _context, /** @type {string} */ resource) {
          const scopes = resources.get(resource)
          if (scopes === undefined) throw new InvalidTarget('no such resource')
          return {
            scope: scopes.join(' '),
            audience: resource,
            accessTokenFormat,
            accessTokenTTL: ttlSeconds,
            jwt: { sign: { alg: 'ES256' } },
          }
        },
      },
    },
    // The provider's dispatcher refuses loopback, and a client's `jwks_uri` is on loopback here.
    fetch: (/** @type {string} */ url, /** @type {RequestInit} */ { dispatcher: _, ...init }) =>
      fetch(url, init),
  })
  recordTokenRequests(provider, tokenRequests)
  answer = provider.callback()

  /** @param {ClientRegistration} client */
  async function registerClient(client) {
    records.set(`Client:${client.client_id}`, { ...client })
    await provider.Client.find(client.client_id)
  }
  for (const client of clients) await registerClient(client)

  return {
    issuer,
    url: issuer,
    metadata: {
      issuer,
      token_endpoint: provider.urlFor('token'),
      jwks_uri: provider.urlFor('jwks'),
    },
    requests: server.requests,
    tokenRequests,
    counters: {
      get discovery() {
        return server.requests.filter((request) => request.path.includes('/.well-known/')).length
      },
      get token() {
        return tokenRequests.length
      },
    },
    registerClient,
    registerResource: (resource, scopes) => void resources.set(resource, scopes),
    setTokenLifetime(seconds) {
      ttlSeconds = seconds
    },
    forget() {
      server.requests.length = 0
      tokenRequests.length = 0
    },
    close: server.close,
  }
}

/**
 * The URL as a provider mounted at the root would see it. RFC 8414 §3.1 puts the well-known part
 * before the issuer's path, OpenID Connect Discovery after it.
 *
 * @param {string} url
 * @param {string} path
 */
function withoutIssuerPath(url, path) {
  const wellKnown = /^\/\.well-known\/(?:oauth-authorization-server|openid-configuration)/.exec(url)
  if (wellKnown !== null) return url === `${wellKnown[0]}${path}` ? wellKnown[0] : undefined
  return url.startsWith(`${path}/`) ? url.slice(path.length) : undefined
}

/**
 * @param {Provider} provider
 * @param {TokenRequest[]} tokenRequests
 */
function recordTokenRequests(provider, tokenRequests) {
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

/**
 * What oidc-provider stores: clients, and the `jti` of every assertion it has seen.
 *
 * @param {Map<string, object>} records
 */
function memoryAdapter(records) {
  return (/** @type {string} */ model) => ({
    find: async (/** @type {string} */ id) => records.get(`${model}:${id}`),
    upsert: async (/** @type {string} */ id, /** @type {object} */ payload) => {
      records.set(`${model}:${id}`, payload)
    },
    destroy: async (/** @type {string} */ id) => {
      records.delete(`${model}:${id}`)
    },
  })
}

async function newSigningJwk() {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  return { ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig', kid: 'as-1' }
}
