/// <reference path="../../../test/servers/oidc-provider.d.ts" />

import { randomBytes } from 'node:crypto'
import type { RequestListener } from 'node:http'
import type { Jwks } from '@countersign/core'
import { exportJWK, generateKeyPair } from 'jose'
import { clientAuthSigningAlgValues } from 'oidc-provider/lib/consts/jwa.js'
import { InvalidTarget } from 'oidc-provider/lib/helpers/errors.js'
// The package's entry point prints a warning on Node.js 20; the provider itself runs there.
import { Provider } from 'oidc-provider/lib/provider.js'
import { listenOnLoopback } from './loopback.ts'

/**
 * A registered client, by its metadata.
 *
 * @see [RFC 7591 §2](https://www.rfc-editor.org/rfc/rfc7591#section-2)
 */
export interface RegisteredClient {
  readonly client_id: string
  readonly token_endpoint_auth_method:
    | 'private_key_jwt'
    | 'client_secret_basic'
    | 'client_secret_post'
  /** The only algorithm that the server accepts from this client; any that it supports by default. */
  readonly token_endpoint_auth_signing_alg?: string
  /** The client's public keys, by value. */
  readonly jwks?: Jwks
  /** The client's public keys, by URL. Unlike a real server, this one also fetches from loopback. */
  readonly jwks_uri?: string
  readonly client_secret?: string
}

/** Options of {@link startAuthorizationServer}. */
export interface AuthorizationServerOptions {
  readonly clients: readonly RegisteredClient[]
  /** Signature algorithms for `private_key_jwt`, advertised and accepted; all that oidc-provider supports by default. */
  readonly algorithms?: readonly string[] | undefined
  /** Lifetime of access tokens; 3600 by default. */
  readonly tokenLifetimeSeconds?: number | undefined
}

/** A running authorization server. */
export interface DemoAuthorizationServer extends AsyncDisposable {
  readonly issuer: string
  /** Lets clients get tokens for a resource (RFC 8707), with these scope values. */
  registerResource(resource: string, scope: string): void
  /** Closes all connections and frees the port. */
  close(): Promise<void>
}

const alg = 'ES256'

/**
 * Starts oidc-provider on a free port of 127.0.0.1, as an authorization server for the client credentials grant that
 * issues JWT access tokens, which are bound to a key if the request has a DPoP proof.
 *
 * It is for demonstrations and tests: it stores its state in memory and uses plain HTTP.
 *
 * @param options - the clients it knows.
 * @returns the running server; close it, or declare it by `await using`.
 *
 * @example
 * ```ts
 * import { jwks, type Signer } from '@countersign/core'
 * import { startAuthorizationServer } from '@countersign/demo'
 *
 * declare const signer: Signer
 *
 * await using server = await startAuthorizationServer({
 *   clients: [
 *     { client_id: 'agent', token_endpoint_auth_method: 'private_key_jwt', jwks: jwks(signer) },
 *   ],
 * })
 * server.registerResource('https://api.example.com', 'invoices')
 * console.log(server.issuer)
 * ```
 *
 * @see [RFC 6749 §4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)
 */
export async function startAuthorizationServer(
  options: AuthorizationServerOptions,
): Promise<DemoAuthorizationServer> {
  const { clients, tokenLifetimeSeconds = 3600 } = options
  const algorithms =
    options.algorithms ?? clientAuthSigningAlgValues.filter((name) => !name.startsWith('HS'))
  const resources = new Map<string, string>()
  const jwk = await signingJwk()
  let listener: RequestListener | undefined
  const { origin: issuer, close } = await listenOnLoopback((request, response) =>
    listener?.(request, response),
  )
  // oidc-provider verifies DPoP proofs with it, and Node.js 20 does not have it.
  URL.parse ??= (url, base) => (URL.canParse(url, base) ? new URL(url, base) : null)
  const provider = new Provider(issuer, {
    adapter: memoryAdapter,
    clients,
    clientDefaults: {
      grant_types: ['client_credentials'],
      response_types: [],
      redirect_uris: [],
      id_token_signed_response_alg: alg,
    },
    ttl: { ClientCredentials: tokenLifetimeSeconds },
    jwks: { keys: [jwk] },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    clientAuthMethods: [...new Set(clients.map((client) => client.token_endpoint_auth_method))],
    enabledJWA: { clientAuthSigningAlgValues: algorithms },
    clientBasedCORS: () => false,
    // oidc-provider's own dispatcher refuses loopback, where the jwks_uri of a demonstration is.
    fetch: (url: string, { dispatcher: _, ...init }: RequestInit & { dispatcher?: unknown }) =>
      fetch(url, init),
    features: {
      clientCredentials: { enabled: true },
      dPoP: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        getResourceServerInfo(_context: unknown, resource: string) {
          const scope = resources.get(resource)
          if (scope === undefined) throw new InvalidTarget('no such resource')
          return {
            scope,
            audience: resource,
            accessTokenFormat: 'jwt',
            accessTokenTTL: tokenLifetimeSeconds,
            jwt: { sign: { alg } },
          }
        },
      },
    },
  })
  listener = provider.callback()
  return {
    issuer,
    registerResource: (resource, scope) => void resources.set(resource, scope),
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** oidc-provider's storage; each kind of record has its own. It stores the `jti` of every assertion. */
function memoryAdapter() {
  const records = new Map<string, object>()
  return {
    find: async (id: string) => records.get(id),
    upsert: async (id: string, record: object) => void records.set(id, record),
    destroy: async (id: string) => void records.delete(id),
  }
}

async function signingJwk() {
  const { privateKey } = await generateKeyPair(alg, { extractable: true })
  return { ...(await exportJWK(privateKey)), alg, use: 'sig', kid: 'demo' }
}
