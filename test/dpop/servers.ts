import { jwks, type Signer } from '@countersign/core'
import {
  privateKeyJwt,
  type TokenSource,
  type TokenSourceOptions,
  tokenSource,
} from '@countersign/oauth'
import { closing, es256Signer } from '../oauth/fixtures.ts'
import {
  type AuthorizationServer,
  startAuthorizationServer,
} from '../servers/authorization-server.js'
import { type DpopResource, dpopResource } from '../servers/dpop-resource.js'
import { type ScriptedServer, startScriptedServer } from '../servers/scripted-server.js'

/** oidc-provider, and a resource that accepts its DPoP-bound tokens with a valid proof. */
export interface DpopServers {
  readonly as: AuthorizationServer
  readonly resource: DpopResource
  /** The resource's server, which also redirects from `/api/redirect?to=…`. */
  readonly api: ScriptedServer
  /** The URL of the resource. */
  readonly url: string
  /** The key of the client's assertions. */
  readonly signer: Signer
  /** Makes a token source for the resource. */
  source(options?: Partial<TokenSourceOptions>): TokenSource
}

/**
 * @param dpop - whether the authorization server binds tokens, and asks for a nonce.
 * @param options - the key of the client's assertions, and the lifetime of the tokens.
 */
export async function startDpopServers(
  dpop: 'off' | 'supported' | 'nonce' = 'supported',
  options: { readonly signer?: Signer; readonly ttlSeconds?: number } = {},
): Promise<DpopServers> {
  const { signer = await es256Signer(), ttlSeconds = 3600 } = options
  const as = closing(
    await startAuthorizationServer({
      ...(dpop !== 'off' && { dpop }),
      ttlSeconds,
      clients: [
        {
          client_id: 'agent',
          token_endpoint_auth_method: 'private_key_jwt',
          jwks: jwks(signer),
        },
      ],
    }),
  )
  let url = ''
  const resource = dpopResource({
    issuer: as.issuer,
    jwksUri: as.metadata.jwks_uri,
    audience: () => url,
  })
  const api: ScriptedServer = closing(
    await startScriptedServer(async ({ method, path, headers }) => {
      const to = headers['x-redirect-to']
      if (path === '/api/redirect' && typeof to === 'string') {
        return new Response(null, { status: 307, headers: { location: to } })
      }
      const given = new Headers(headers as Record<string, string>)
      return resource.answer({ method, url: api.url + path, headers: given })
    }),
  )
  url = `${api.url}/api`
  as.registerResource(url, ['read', 'write'])
  return {
    ...{ as, resource, api, url, signer },
    source: (options) =>
      tokenSource({
        issuer: as.issuer,
        clientId: 'agent',
        authentication: privateKeyJwt(signer),
        resource: url,
        dpop: true,
        ...options,
      }),
  }
}
