import { generateKeyPairSync } from 'node:crypto'
import { localSigner } from '@countersign/local'
import {
  type ClientCredentialsProvider,
  type ClientCredentialsProviderOptions,
  clientCredentialsProvider,
} from '@countersign/mcp'
import { type Fetch, privateKeyJwt } from '@countersign/oauth'

/** The URL of the MCP server. */
export const mcp = 'https://mcp.example/mcp'

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
export const authentication = privateKeyJwt(await localSigner({ key: privateKey }))

/** One request that was sent. */
export interface Received {
  readonly url: URL
  readonly headers: Headers
  readonly init: RequestInit
}

/** What the servers answer. A test may change it at any time. */
export interface Answers {
  /** The MCP server's answer to a request that has one of the tokens. */
  resource(received: Received): Response
  /** The metadata of the MCP server. */
  resourceMetadata(): Response
  /** The path of every token endpoint in the metadata. Tokens are issued at `/token` as well. */
  tokenPath: string
  /** Origins whose token endpoint issues no token, and its answer. */
  readonly refusals: Map<string, () => Response | Promise<Response>>
  /** Origins that are not an authorization server, and the status that they answer with. */
  readonly noServer: Map<string, number>
}

export interface Servers {
  readonly provider: ClientCredentialsProvider
  readonly answers: Answers
  readonly received: Received[]
  /** The `Authorization` headers of the requests to a URL. */
  authorizationsAt(url: string): (string | null)[]
  /** The authorization servers that issued `token-1`, `token-2`, … */
  readonly issuers: string[]
  /** Sets the provider's clock forward. */
  advance(seconds: number): void
}

/** An MCP server and authorization servers, in the `fetch` of a provider. Each origin is an authorization server. */
export function startServers(
  changes: Partial<Answers> = {},
  settings: Partial<ClientCredentialsProviderOptions> = {},
): Servers {
  const answers: Answers = {
    resource: () => new Response('done'),
    resourceMetadata: () =>
      Response.json({ resource: mcp, authorization_servers: ['https://as.example'] }),
    tokenPath: '/token',
    refusals: new Map(),
    noServer: new Map(),
    ...changes,
  }
  const received: Received[] = []
  const issuers: string[] = []
  let time = 1_700_000_000_000

  const fetch: Fetch = async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input)
    const given = init.headers ?? (input instanceof Request ? input.headers : undefined)
    const headers = new Headers(given)
    received.push({ url, headers, init })
    const { origin, pathname } = url
    if (pathname.startsWith('/.well-known/oauth-protected-resource')) {
      return answers.resourceMetadata()
    }
    if (pathname.startsWith('/.well-known/')) {
      const status = answers.noServer.get(origin)
      if (status !== undefined) return new Response(null, { status })
      return Response.json({
        issuer: origin,
        token_endpoint: origin + answers.tokenPath,
        token_endpoint_auth_methods_supported: ['private_key_jwt'],
      })
    }
    if (pathname === '/token' || pathname === answers.tokenPath) {
      const refusal = answers.refusals.get(origin)
      if (refusal !== undefined) return refusal()
      issuers.push(origin)
      const access_token = `token-${issuers.length}`
      return Response.json({ access_token, token_type: 'bearer', expires_in: 300 })
    }
    if (url.href !== mcp) return new Response('elsewhere')
    const isAuthorized = headers.get('authorization')?.startsWith('Bearer token-') === true
    return isAuthorized
      ? answers.resource({ url, headers, init })
      : new Response('no', { status: 401 })
  }

  const provider = clientCredentialsProvider({
    clientId: 'agent',
    authentication,
    fetch,
    now: () => time,
    ...settings,
  })
  return {
    provider,
    answers,
    received,
    issuers,
    authorizationsAt: (url) =>
      received
        .filter((request) => request.url.href === url)
        .map(({ headers }) => headers.get('authorization')),
    advance(seconds) {
      time += seconds * 1000
    },
  }
}

export const post = (body: RequestInit['body'] = '{}'): RequestInit => ({ method: 'POST', body })
