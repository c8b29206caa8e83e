import { clientAssertion, type RotatingSigner, spkiThumbprint } from '@countersign/core'
import { rateLimit } from '@countersign/core/backend'
import {
  discoverAuthorizationServer,
  type Fetch,
  privateKeyJwt,
  type TokenSource,
  tokenSource,
} from '@countersign/oauth'
import { isWithin, requireSecureUrl, sameIssuer } from '@countersign/oauth/internal'
import { type Audit, auditedSource } from './audit.ts'
import type { AgentAssertion, AgentHeaders, AgentToken } from './client.ts'
import type { ClientConfiguration } from './configuration.ts'
import type { KeyLease, KeyPool } from './key-pool.ts'
import { malformed, notAllowed } from './problem.ts'

/** What a request for a token asks for. */
export interface TokenRequest {
  readonly resource?: string | undefined
  readonly scope?: string | undefined
  readonly refused_token?: string | undefined
}

/** A client of the configuration, with its key and its cached tokens. */
export interface ServedClient {
  readonly name: string
  readonly configuration: ClientConfiguration
  readonly source: RotatingSigner
  assertion(audience: string | undefined, signal: AbortSignal): Promise<AgentAssertion>
  token(request: TokenRequest, signal: AbortSignal): Promise<AgentToken>
  headers(
    request: Omit<TokenRequest, 'resource'> & { readonly url: string },
    signal: AbortSignal,
  ): Promise<AgentHeaders>
  /** Runs an action; the key stays open until it has ended. */
  use<T>(action: (client: ServedClient) => Promise<T>): Promise<T>
  /** Releases the key after the last use. */
  retire(): Promise<void>
}

/** What the clients of an agent share. */
export interface ClientSurroundings {
  readonly keys: KeyPool
  readonly audit: Audit
  /** Is told whether a token came from the cache. */
  readonly onToken: (client: string, cached: boolean) => void
  readonly fetch: Fetch
  readonly now: () => number
}

/** The registered name of a JWT as `client_assertion_type`, RFC 7523 §2.2. */
const jwtBearer = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** Opens the key of a client. */
export async function serveClient(
  name: string,
  configuration: ClientConfiguration,
  surroundings: ClientSurroundings,
): Promise<ServedClient> {
  const { key, clientId, issuer, lifetimeSeconds = 60, typ } = configuration
  const { audit, now } = surroundings
  const lease = await surroundings.keys.lease(key, configuration.keyMaxAgeSeconds)
  const source = auditedSource(lease.source, name, audit)
  const kid = keyIdOf(configuration.kid)
  const audienceFor = audienceRule(configuration, surroundings)
  const tokens = tokenSources(configuration, source, surroundings)
  const uses = usesOf(lease)

  async function token({ resource, scope, refused_token }: TokenRequest, signal: AbortSignal) {
    const about = { client: name, event: 'token', audience: resource ?? issuer } as const
    const entry = tokens.get(resource, scope)
    entry.refuse(refused_token)
    try {
      const response = await entry.source.tokenResponse({ signal })
      audit.record({ ...about, outcome: 'ok' })
      surroundings.onToken(name, entry.isKnown(response.access_token))
      return response
    } catch (error) {
      const { code } = error as { readonly code?: string }
      if (code !== 'ERR_AGENT_AUDIT') audit.record({ ...about, outcome: 'failed', code })
      throw error
    }
  }

  const client: ServedClient = Object.freeze<ServedClient>({
    name,
    configuration,
    source,
    async assertion(asked, signal) {
      const audience = await audienceFor(asked, signal)
      const options = { clientId, audience, lifetimeSeconds, typ, kid, now, signal }
      return {
        client_id: clientId,
        client_assertion: await clientAssertion(source, options),
        client_assertion_type: jwtBearer,
        expires_in: lifetimeSeconds,
      }
    },
    async token(request, signal) {
      const resource = chooseResource(configuration, request.resource)
      const { access_token, token_type, expires_in, scope } = await token(
        { ...request, resource },
        signal,
      )
      return {
        ...{ access_token, token_type: capitalised(token_type) },
        ...(expires_in === undefined ? {} : { expires_in }),
        ...(scope === undefined ? {} : { scope }),
        ...(resource === undefined ? {} : { resource }),
      }
    },
    async headers({ url, ...request }, signal) {
      const resource = resourceOf(configuration, url)
      const { access_token, token_type, expires_in } = await token({ ...request, resource }, signal)
      return {
        headers: { Authorization: `${capitalised(token_type)} ${access_token}` },
        ...(expires_in === undefined ? {} : { expires_in }),
        resource,
      }
    },
    use: (action) => uses.run(() => action(client)),
    retire: uses.end,
  })
  return client
}

/** Counts uses, and releases the key after the last one. */
function usesOf(lease: KeyLease) {
  let count = 0
  let release: (() => void) | undefined
  return {
    async run<T>(action: () => Promise<T>): Promise<T> {
      count++
      try {
        return await action()
      } finally {
        count--
        if (count === 0) release?.()
      }
    },
    end: (): Promise<void> =>
      new Promise((resolve, reject) => {
        release = () => void lease.release().then(resolve, reject)
        if (count === 0) release()
      }),
  }
}

function keyIdOf(kid: string | undefined) {
  if (kid === 'none') return null
  return kid === 'spki-sha256' ? spkiThumbprint : kid
}

/** `token_type` is case-insensitive, and some resources compare it with `Bearer`. */
const capitalised = (type: string): string => (/^bearer$/i.test(type) ? 'Bearer' : type)

const metadataLifetimeMs = 3_600_000

/**
 * Makes the function that chooses the `aud` of an assertion. A request may name the issuer, for which the configured
 * rule applies, or a further configured audience.
 */
function audienceRule(
  { issuer, audience: rule = 'issuer', audiences = [] }: ClientConfiguration,
  { fetch, now }: ClientSurroundings,
): (asked: string | undefined, signal: AbortSignal) => Promise<string> {
  let discovered: { readonly endpoint: string; readonly at: number } | undefined

  async function tokenEndpoint(signal: AbortSignal): Promise<string> {
    if (discovered !== undefined && now() - discovered.at < metadataLifetimeMs) {
      return discovered.endpoint
    }
    const { token_endpoint: endpoint } = await discoverAuthorizationServer(issuer, {
      fetch,
      signal,
    })
    const { href } = requireSecureUrl(endpoint, 'token endpoint', { namedBy: issuer })
    discovered = { endpoint: endpoint ?? href, at: now() }
    return discovered.endpoint
  }

  return async (asked, signal) => {
    if (asked !== undefined && audiences.includes(asked)) return asked
    const isIssuer = asked === undefined || sameIssuer(asked, issuer)
    if (rule === 'issuer') {
      if (isIssuer) return issuer
    } else if (rule === 'token_endpoint') {
      const endpoint = await tokenEndpoint(signal)
      if (isIssuer || asked === endpoint) return endpoint
    } else if (isIssuer || asked === rule) return rule
    throw notAllowed(
      'The configuration of this client has no such audience; name the issuer, or add the audience to "audiences"',
    )
  }
}

function chooseResource(
  { resources = [] }: ClientConfiguration,
  asked: string | undefined,
): string | undefined {
  if (asked === undefined) return resources[0]
  if (resources.includes(asked)) return asked
  throw notAllowed(
    'The configuration of this client has no such resource; name one as "resources" writes it, or add it there',
  )
}

/** The configured resource that a URL is within; the one with the longest path, if there are several. */
function resourceOf({ resources = [] }: ClientConfiguration, given: string): string {
  if (!URL.canParse(given)) throw malformed('"url" is not a URL')
  const url = new URL(given)
  const [resource] = resources
    .filter((one) => isWithin(url, new URL(one)))
    .sort((one, other) => other.length - one.length)
  if (resource !== undefined) return resource
  throw notAllowed(
    'The URL is within no resource of this client; add its resource to "resources" of the configuration',
  )
}

/** The scope of a request: configured values, in the order of the configuration. */
function chooseScope(
  { scopes = [] }: ClientConfiguration,
  asked: string | undefined,
): string | undefined {
  if (asked === undefined) return scopes.length === 0 ? undefined : scopes.join(' ')
  const values = new Set(asked.split(' ').filter(Boolean))
  const allowed = scopes.filter((scope) => values.delete(scope))
  if (values.size === 0 && allowed.length > 0) return allowed.join(' ')
  throw notAllowed(
    'The configuration of this client does not have all these scope values; name some of "scopes", or add them there',
  )
}

/** The source of one cached token. */
interface CachedSource {
  readonly source: TokenSource
  /** Discards a token that the resource refused. */
  refuse(token: string | undefined): void
  /** Whether this token was returned before. */
  isKnown(token: string): boolean
}

/** Combinations of resource and scope whose tokens are cached, for each client. */
const mostSources = 64
function tokenSources(
  configuration: ClientConfiguration,
  signer: RotatingSigner,
  { fetch, now }: ClientSurroundings,
) {
  const { issuer, clientId, audience = 'issuer', typ, lifetimeSeconds = 60 } = configuration
  const sources = new Map<string, CachedSource>()
  const authentication = privateKeyJwt(signer, {
    ...{ issuer, typ, lifetimeSeconds, now, kid: keyIdOf(configuration.kid) },
    audience: audience === 'issuer' ? undefined : audience,
    clientIdInBody: configuration.clientIdInBody,
  })

  function create(resource: string | undefined, scope: string | undefined): CachedSource {
    const source = tokenSource({ issuer, clientId, authentication, resource, scope, fetch, now })
    let last: string | undefined
    // A caller that refuses each token must not make the agent request one for each call.
    const mayRenew = rateLimit(10, 60, now)
    return {
      source,
      refuse(token) {
        if (token !== undefined && token === last && mayRenew()) source.invalidate(token)
      },
      isKnown(token) {
        const known = token === last
        last = token
        return known
      },
    }
  }

  return {
    get(resource: string | undefined, asked: string | undefined): CachedSource {
      const scope = chooseScope(configuration, asked)
      const id = JSON.stringify([resource, scope])
      const entry = sources.get(id) ?? create(resource, scope)
      // The least recently used one is dropped first.
      sources.delete(id)
      sources.set(id, entry)
      const [oldest] = sources.keys()
      if (sources.size > mostSources && oldest !== undefined) sources.delete(oldest)
      return entry
    },
  }
}
