// @ts-check
import { randomBytes } from 'node:crypto'
import { exportJWK, generateKeyPair, importJWK } from 'jose'
import { clientAuthSigningAlgValues } from 'oidc-provider/lib/consts/jwa.js'
import { InvalidTarget } from 'oidc-provider/lib/helpers/errors.js'
// The package's entry point prints a warning on Node 20; the provider itself runs there.
import { Provider } from 'oidc-provider/lib/provider.js'
import { listenOnLoopback } from './loopback.js'
import { recordTokenRequests } from './token-request-log.js'

/**
 * Every signature algorithm this oidc-provider accepts for `private_key_jwt` on the running Node.
 *
 * @type {readonly string[]}
 */
export const CLIENT_AUTH_SIGNING_ALGS = clientAuthSigningAlgValues.filter(
  (alg) => !alg.startsWith('HS'),
)

/**
 * Client metadata as in RFC 7591 §2; the grant is `client_credentials` unless other ones are named.
 *
 * @typedef {object} ClientRegistration
 * @property {string} client_id
 * @property {'private_key_jwt' | 'client_secret_basic' | 'client_secret_post' | 'none' | 'attest_jwt_client_auth' | 'attest_jwt_client_auth_dpop'} token_endpoint_auth_method
 * @property {string} [token_endpoint_auth_signing_alg]  when absent, any enabled algorithm is accepted
 * @property {readonly string[]} [grant_types]
 * @property {{ keys: object[] }} [jwks]
 * @property {string} [jwks_uri]
 * @property {string} [client_secret]
 * @property {boolean} [dpop_bound_access_tokens]  refuses token requests without a DPoP proof
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
 * @property {'supported' | 'nonce'} [dpop]  binds tokens to the key of a DPoP proof, which with `nonce` must have one
 * @property {import('jose').JWK} [attester]  public key that attestations of client instances are verified with
 * @property {(server: GrantServer) => void} [grants]  adds grants before the clients are registered
 * @property {Readonly<Record<string, string>>} [hosts]  https origin → loopback origin, in place of DNS and TLS; makes
 *   it accept clients that it fetches the metadata document of
 */

/**
 * What a further grant needs of the server.
 *
 * @typedef {object} GrantServer
 * @property {Provider} provider
 * @property {(resource: string) => object} resourceServer  what oidc-provider knows of a resource
 */

/**
 * @typedef {object} AuthorizationServer
 * @property {string} issuer
 * @property {string} url  same as `issuer`
 * @property {{ issuer: string, token_endpoint: string, jwks_uri: string }} metadata
 * @property {import('./loopback.js').RecordedRequest[]} requests
 * @property {import('./token-request-log.js').TokenRequest[]} tokenRequests
 * @property {{ readonly discovery: number, readonly token: number }} counters
 * @property {(client: ClientRegistration) => Promise<void>} registerClient  adds or replaces one
 * @property {(resource: string, scopes: readonly string[]) => void} registerResource
 * @property {(seconds: number) => void} setTokenLifetime  for tokens issued from now on
 * @property {() => void} forget  empties the logs and sets the counters to 0
 * @property {() => Promise<void>} close
 * @property {() => Promise<void>} reopen  after `close`, with what it knew
 */

// oidc-provider verifies DPoP proofs with it, and Node 20 does not have it.
URL.parse ??= (url, base) => (URL.canParse(url, base) ? new URL(url, base) : null)

/**
 * Starts oidc-provider as an OAuth authorization server for the client credentials grant, with
 * resource indicators (RFC 8707) and JWT access tokens (RFC 9068).
 *
 * @param {AuthorizationServerOptions} [options]
 * @returns {Promise<AuthorizationServer>}
 */
export async function startAuthorizationServer(options = {}) {
  const { clients = [], path = '', accessTokenFormat = 'jwt', dpop, hosts, attester } = options
  const resources = new Map(Object.entries(options.resources ?? {}))
  let ttlSeconds = options.ttlSeconds ?? 3600
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

  /** @param {string} resource */
  function resourceServer(resource) {
    const scopes = resources.get(resource)
    if (scopes === undefined) throw new InvalidTarget('no such resource')
    return {
      scope: scopes.join(' '),
      audience: resource,
      accessTokenFormat,
      accessTokenTTL: ttlSeconds,
      jwt: { sign: { alg: 'ES256' } },
    }
  }

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
      ...(attester ? ['attest_jwt_client_auth', 'attest_jwt_client_auth_dpop'] : []),
      'private_key_jwt',
      'client_secret_basic',
      'client_secret_post',
    ],
    enabledJWA: {
      clientAuthSigningAlgValues: options.clientAuthSigningAlgs ?? CLIENT_AUTH_SIGNING_ALGS,
    },
    clockTolerance: 0,
    ttl: { ClientCredentials: () => ttlSeconds, AccessToken: () => ttlSeconds },
    clientBasedCORS: () => false,
    features: {
      clientCredentials: { enabled: true },
      dPoP: {
        enabled: dpop !== undefined,
        nonceSecret: randomBytes(32),
        requireNonce: () => dpop === 'nonce',
      },
      devInteractions: { enabled: false },
      ...(attester && {
        attestClientAuth: {
          enabled: true,
          ack: 'draft-12',
          challengeSecret: randomBytes(32),
          getAttestationSignaturePublicKey: () => importJWK(attester, attester.alg),
          assertAttestationJwtAndPop: () => {},
        },
      }),
      ...(hosts && { clientIdMetadataDocument: { enabled: true, ack: 'draft-02' } }),
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        getResourceServerInfo: (/** @type {unknown} */ _context, /** @type {string} */ resource) =>
          resourceServer(resource),
      },
    },
    // The provider's dispatcher refuses loopback, and a client's `jwks_uri` is on loopback here.
    fetch(/** @type {string} */ url, /** @type {RequestInit} */ { dispatcher: _, ...init }) {
      const { origin } = new URL(url)
      return fetch(`${hosts?.[origin] ?? origin}${url.slice(origin.length)}`, init)
    },
  })
  options.grants?.({ provider, resourceServer })
  const tokenRequests = recordTokenRequests(provider)
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
    reopen: server.reopen,
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
