import { randomBytes } from 'node:crypto'
import type { RequestListener } from 'node:http'
import { exportJWK, generateKeyPair, type JWK } from 'jose'
import { InvalidTarget } from 'oidc-provider/lib/helpers/errors.js'
// The package's entry point prints a warning on Node.js 20; the provider itself runs there.
import { Provider } from 'oidc-provider/lib/provider.js'
import { listenOnLoopback } from './listen.ts'

/** The only scope there is. */
export const scope = 'tools'

const tokenLifetimeSeconds = 3600

/** oidc-provider, with one client, for the client credentials grant. */
export interface DemoAuthorizationServer {
  readonly issuer: string
  /** What its access tokens are signed with. */
  readonly publicJwk: JWK
  /** Admits one resource, RFC 8707. */
  serve(resource: string): void
  close(): Promise<void>
}

/** Starts oidc-provider on loopback, with one client that it knows by its metadata, RFC 7591 §2. */
export async function startAuthorizationServer(
  client: Readonly<Record<string, unknown>>,
): Promise<DemoAuthorizationServer> {
  const own = await signingKey()
  let resource: string | undefined
  let answer: RequestListener | undefined
  const { origin: issuer, close } = await listenOnLoopback((request, response) =>
    answer?.(request, response),
  )
  const provider = new Provider(issuer, {
    adapter: memory,
    clients: [
      {
        grant_types: ['client_credentials'],
        response_types: [],
        redirect_uris: [],
        id_token_signed_response_alg: own.alg,
        ...client,
      },
    ],
    ttl: { ClientCredentials: tokenLifetimeSeconds },
    jwks: { keys: [own.privateJwk] },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    clientAuthMethods: ['private_key_jwt'],
    enabledJWA: { clientAuthSigningAlgValues: [client['token_endpoint_auth_signing_alg']] },
    clientBasedCORS: () => false,
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        getResourceServerInfo(_context: unknown, asked: string) {
          if (asked !== resource) throw new InvalidTarget('no such resource')
          const jwt = { sign: { alg: own.alg } }
          return {
            scope,
            audience: asked,
            accessTokenFormat: 'jwt',
            accessTokenTTL: tokenLifetimeSeconds,
            jwt,
          }
        },
      },
    },
  })
  answer = provider.callback()
  return {
    issuer,
    publicJwk: own.publicJwk,
    serve(url) {
      resource = url
    },
    close,
  }
}

/** Where the provider keeps the `jti` of every assertion that it has seen, each kind of record by itself. */
function memory() {
  const records = new Map<string, object>()
  return {
    find: async (id: string) => records.get(id),
    upsert: async (id: string, record: object) => void records.set(id, record),
    destroy: async (id: string) => void records.delete(id),
  }
}

async function signingKey() {
  const alg = 'ES256'
  const pair = await generateKeyPair(alg, { extractable: true })
  const named = { alg, use: 'sig', kid: 'demo' }
  return {
    alg,
    privateJwk: { ...(await exportJWK(pair.privateKey)), ...named },
    publicJwk: { ...(await exportJWK(pair.publicKey)), ...named },
  }
}
