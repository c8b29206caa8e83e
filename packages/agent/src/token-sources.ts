import { type RotatingSigner, spkiThumbprint } from '@countersign/core'
import { rateLimit } from '@countersign/core/backend'
import {
  type DpopSession,
  type Fetch,
  type PrivateKeyJwtOptions,
  privateKeyJwt,
  type TokenSource,
  tokenSource,
} from '@countersign/oauth'
import { isWithin } from '@countersign/oauth/internal'
import type { ClientConfiguration } from './configuration.ts'
import { malformed, notAllowed } from './problem.ts'

/** The resource of a request: a configured one, and the first one by default. */
export function chooseResource(
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
export function resourceOf({ resources = [] }: ClientConfiguration, given: string): string {
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

/** What {@link tokenSources} needs besides the configuration. */
export interface TokenSourcesSettings {
  readonly signer: RotatingSigner
  /** The key that tokens are bound to, if they are. */
  readonly dpop: DpopSession | undefined
  readonly fetch: Fetch
  readonly now: () => number
}

/** The cached tokens of a client, by resource and scope. */
export function tokenSources(
  configuration: ClientConfiguration,
  { signer, dpop, fetch, now }: TokenSourcesSettings,
) {
  const { issuer, clientId, audience = 'issuer', typ, lifetimeSeconds = 60 } = configuration
  const sources = new Map<string, CachedSource>()
  const authentication = privateKeyJwt(signer, {
    ...{ issuer, typ, lifetimeSeconds, now, kid: keyIdOf(configuration.kid) },
    audience: audience === 'issuer' ? undefined : audience,
    clientIdInBody: configuration.clientIdInBody,
  })

  function create(resource: string | undefined, scope: string | undefined): CachedSource {
    const source = tokenSource({
      ...{ issuer, clientId, authentication, resource, scope, fetch, now },
      dpop: dpop && { session: dpop },
    })
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

/** Reads the option `kid` as `@countersign/core` takes it. */
export function keyIdOf(kid: string | undefined): PrivateKeyJwtOptions['kid'] {
  if (kid === 'none') return null
  return kid === 'spki-sha256' ? spkiThumbprint : kid
}
