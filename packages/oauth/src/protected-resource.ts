import { sanitize, sanitizeValue, timeoutSignal } from '@countersign/core/backend'
import type { ResourceServer } from 'oauth4webapi'
import {
  isListOfStrings,
  originOf,
  requireReachable,
  requireSecureUrl,
} from './authorization-server.ts'
import { type DiscoveryOptions, discoverySeconds } from './discovery.ts'
import { OAuthError } from './error.ts'
import { requestMetadata, retryAfterSeconds } from './http.ts'

/** Options of {@link discoverProtectedResource}. */
export interface ResourceDiscoveryOptions extends DiscoveryOptions {
  /** Where the metadata is, when the resource said so in a challenge; else the well-known locations are tried. */
  readonly metadataUrl?: string | undefined
}

/**
 * Fetches the metadata of a protected resource, and makes sure that it speaks for the URL that is going to be used.
 *
 * @param url - the URL of the resource, https, or http on loopback.
 * @param options - the metadata's location from a challenge, the `fetch` to use, and a signal.
 * @returns the metadata; `resource` is the identifier to ask a token for.
 * @throws {@link OAuthError} `ERR_OAUTH_DISCOVERY` when there is no metadata, `ERR_OAUTH_RESOURCE_MISMATCH` when it is
 *   another resource's, `ERR_OAUTH_INSECURE_ENDPOINT` for a URL that is neither https nor on loopback, or a resource of
 *   another machine that names an authorization server on loopback, `ERR_OAUTH_UNAVAILABLE` when it cannot be reached.
 *
 * @example
 * ```ts
 * import { discoverProtectedResource } from '@countersign/oauth'
 *
 * const { resource, authorization_servers } = await discoverProtectedResource(
 *   'https://mcp.example.com/mcp',
 * )
 * ```
 *
 * @see [RFC 9728 §3](https://www.rfc-editor.org/rfc/rfc9728#section-3)
 */
export async function discoverProtectedResource(
  url: string,
  options: ResourceDiscoveryOptions = {},
): Promise<ResourceServer> {
  const {
    metadataUrl,
    fetch = globalThis.fetch,
    signal = timeoutSignal(discoverySeconds),
  } = options
  const used = requireSecureUrl(url, 'resource')
  const locations =
    metadataUrl === undefined
      ? wellKnownLocations(used)
      : [requireSecureUrl(metadataUrl, 'resource metadata', { namedBy: used.origin })]
  let refused = 0
  let retryAfter: number | undefined
  for (const location of locations) {
    const response = await requestMetadata(fetch, location, signal)
    if (response.status === 200) return readMetadata(response, used)
    refused = Math.max(refused, response.status === 429 ? 500 : response.status)
    retryAfter ??= retryAfterSeconds(response, Date.now())
  }
  throw new OAuthError(
    refused >= 500 ? 'ERR_OAUTH_UNAVAILABLE' : 'ERR_OAUTH_DISCOVERY',
    `The metadata of the resource ${shown(used)} was answered with HTTP status ${refused}`,
    { status: refused, retryAfterSeconds: retryAfter },
  )
}

/** RFC 9728 §3.1: the resource's path comes after the well-known one; else the metadata may be of the whole origin. */
function wellKnownLocations(used: URL): URL[] {
  const paths = new Set([used.pathname === '/' ? '' : used.pathname, ''])
  return [...paths].map((path) => {
    const location = new URL(used.origin)
    location.pathname = `/.well-known/oauth-protected-resource${path}`
    return location
  })
}

/**
 * Tells whether a URL is at a resource's origin, and at or below its path, for every server and proxy on the way.
 *
 * A path below the resource's that they may read in different ways is not within it: one with an encoded separator or
 * an encoded percent sign, with a dot segment that has parameters, or that is not UTF-8.
 */
export function isWithin(url: URL, resource: URL): boolean {
  const folder = resource.pathname.replace(/\/?$/, '/')
  return (
    url.origin === resource.origin &&
    `${url.pathname}/`.startsWith(folder) &&
    !isAmbiguous(url.pathname.slice(folder.length - 1))
  )
}

function isAmbiguous(path: string): boolean {
  if (/%2f|%5c|%25|%[01]/i.test(path)) return true
  try {
    return /\/\.{1,2};/.test(decodeURIComponent(path))
  } catch {
    return true
  }
}

async function readMetadata(response: Response, used: URL): Promise<ResourceServer> {
  const body: unknown = await response.json().catch(() => undefined)
  const metadata = (body ?? {}) as Partial<Record<keyof ResourceServer, unknown>>
  const { resource, authorization_servers, scopes_supported } = metadata
  if (
    typeof resource !== 'string' ||
    !URL.canParse(resource) ||
    !isListOrAbsent(authorization_servers) ||
    !isListOrAbsent(scopes_supported)
  ) {
    throw new OAuthError(
      'ERR_OAUTH_DISCOVERY',
      `What the resource ${originOf(used)} publishes is not protected resource metadata`,
    )
  }
  if (!isWithin(used, new URL(resource))) {
    throw new OAuthError(
      'ERR_OAUTH_RESOURCE_MISMATCH',
      `The metadata is of the resource ${sanitizeValue(resource)}, which does not cover ${shown(used)}`,
    )
  }
  for (const server of authorization_servers ?? []) {
    if (URL.canParse(server)) requireReachable(new URL(server), 'authorization server', used.origin)
  }
  return body as ResourceServer
}

/** Origin and path of a URL, without its query. */
function shown(url: URL): string {
  return sanitize(url.origin + url.pathname)
}

function isListOrAbsent(value: unknown): value is readonly string[] | undefined {
  return value === undefined || isListOfStrings(value)
}
