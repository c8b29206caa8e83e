import { randomBytes } from 'node:crypto'
import { exportJWK, generateKeyPair, type JSONWebKeySet } from 'jose'
import { Provider } from 'oidc-provider/lib/provider.js'
import { listenOnLoopback } from '../servers/loopback.js'
import { recordTokenRequests, type TokenRequest } from '../servers/token-request-log.js'

/** The redirect URI of the client; there is no server at it. */
export const redirectUri = 'https://app.example/signed-in'

/** An authorization server that signs one user in, for one client, without a prompt. */
export interface SignInServer {
  readonly issuer: string
  readonly tokenRequests: TokenRequest[]
  registerResource(resource: string): void
  close(): Promise<void>
}

interface GrantContext {
  readonly oidc: {
    readonly client: { readonly clientId: string }
    readonly session: { readonly accountId: string }
  }
}

/** Starts oidc-provider for the authorization code grant with PKCE and refresh tokens. */
export async function startSignInServer(
  client: {
    readonly client_id: string
    readonly jwks: JSONWebKeySet
    /** Refuses token requests without a proof. */
    readonly dpop_bound_access_tokens?: boolean
  },
  { requireNonce = false }: { readonly requireNonce?: boolean } = {},
): Promise<SignInServer> {
  const resources = new Set<string>()
  let answer: ReturnType<Provider['callback']>
  const server = await listenOnLoopback((request, response) => void answer(request, response))
  const { privateKey } = await generateKeyPair('ES256', { extractable: true })
  const signing = { ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig', kid: 'as-1' }
  const provider: Provider = new Provider(server.origin, {
    clients: [
      {
        ...client,
        redirect_uris: [redirectUri],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        token_endpoint_auth_method: 'private_key_jwt',
        id_token_signed_response_alg: 'ES256',
      },
    ],
    adapter: memoryAdapter(),
    clientAuthMethods: ['private_key_jwt'],
    jwks: { keys: [signing] },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    issueRefreshToken: () => true,
    ttl: {
      AccessToken: 3600,
      AuthorizationCode: 60,
      Grant: 3600,
      RefreshToken: 3600,
      Session: 60,
      Interaction: 60,
    },
    findAccount: (_context: unknown, accountId: string) => ({
      accountId,
      claims: () => ({ sub: accountId }),
    }),
    interactions: { url: () => '/sign-in' },
    async loadExistingGrant({ oidc }: GrantContext) {
      const { clientId } = oidc.client
      const grant = new provider.Grant({ accountId: oidc.session.accountId, clientId })
      for (const resource of resources) grant.addResourceScope(resource, 'use')
      await grant.save()
      return grant
    },
    features: {
      devInteractions: { enabled: false },
      dPoP: {
        enabled: true,
        nonceSecret: randomBytes(32),
        requireNonce: () => requireNonce,
      },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (_context: unknown, resource: string) => ({
          scope: 'use',
          audience: resource,
          accessTokenFormat: 'jwt',
          accessTokenTTL: 3600,
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  })
  provider.use(async ({ req, res }, next) => {
    if (req.url !== '/sign-in') return next()
    await provider.interactionFinished(req, res, { login: { accountId: 'alice' } })
  })
  const tokenRequests = recordTokenRequests(provider)
  answer = provider.callback()
  return {
    issuer: server.origin,
    tokenRequests,
    registerResource: (resource) => void resources.add(resource),
    close: server.close,
  }
}

/** A store for oidc-provider. No entry lives long enough to expire. */
function memoryAdapter() {
  const records = new Map<string, Record<string, unknown>>()
  return (model: string) => ({
    upsert: async (id: string, payload: object) =>
      void records.set(`${model}:${id}`, { ...payload }),
    find: async (id: string) => records.get(`${model}:${id}`),
    findByUid: async (uid: string) => [...records.values()].find((record) => record['uid'] === uid),
    consume: async (id: string) =>
      void Object.assign(records.get(`${model}:${id}`) ?? {}, { consumed: 1 }),
    destroy: async (id: string) => void records.delete(`${model}:${id}`),
    revokeByGrantId: async () => {},
  })
}

/** Follows the redirects from the authorization URL as a browser does, and returns the authorization response. */
export async function signIn(authorizationUrl: URL): Promise<URLSearchParams> {
  const cookies = new Map<string, string>()
  let url = authorizationUrl
  for (let hop = 0; hop < 10; hop++) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(url, { headers: { cookie }, redirect: 'manual' })
    const said = await response.text()
    for (const set of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(set) ?? []
      if (value === '') cookies.delete(name)
      else cookies.set(name, value)
    }
    const location = response.headers.get('location')
    if (location === null) throw new Error(`HTTP status ${response.status}: ${said}`)
    url = new URL(location, url)
    if (url.href.startsWith(redirectUri)) return url.searchParams
  }
  throw new Error('too many redirects')
}
