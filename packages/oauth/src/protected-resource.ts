import { processResourceDiscoveryResponse, type ResourceServer } from 'oauth4webapi'
import { requireSecureUrl } from './authorization-server.ts'
import type { DiscoveryOptions } from './discovery.ts'
import { OAuthError } from './error.ts'
import { requestMetadata } from './http.ts'
import { serverValue } from './server-words.ts'

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
 *   another resource's, `ERR_OAUTH_INSECURE_ENDPOINT` for a URL that is neither https nor on loopback,
 *   `ERR_OAUTH_UNAVAILABLE` when it cannot be reached.
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
  const { metadataUrl, fetch = globalThis.fetch, signal = new AbortController().signal } = options
  const used = requireSecureUrl(url, 'resource')
  const locations =
    metadataUrl === undefined ? wellKnownLocations(used) : [challengedLocation(metadataUrl, used)]
  let refused = 0
  for (const location of locations) {
    const response = await requestMetadata(fetch, location, signal)
    if (response.status === 200) return readMetadata(response, used)
    refused = Math.max(refused, response.status === 429 ? 500 : response.status)
  }
  throw new OAuthError(
    refused >= 500 ? 'ERR_OAUTH_UNAVAILABLE' : 'ERR_OAUTH_DISCOVERY',
    `The metadata of the resource ${used.origin}${used.pathname} was answered with HTTP status ${refused}`,
    { status: refused },
  )
}

function challengedLocation(metadataUrl: string, used: URL): URL {
  const location = requireSecureUrl(metadataUrl, 'location of the resource metadata')
  if (location.protocol === used.protocol || location.protocol === 'https:') return location
  throw new OAuthError(
    'ERR_OAUTH_INSECURE_ENDPOINT',
    `The resource ${used.origin} says that its metadata is at ${location.origin}, on this machine; nothing was sent there`,
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

/** Tells whether a URL is at a resource's origin, and at or below its path, however a server may read the path. */
export function isWithin(url: URL, resource: URL): boolean {
  const isBelow = (path: string, folder: string) =>
    `${path}/`.startsWith(folder.replace(/\/?$/, '/'))
  return (
    url.origin === resource.origin &&
    isBelow(url.pathname, resource.pathname) &&
    isBelow(decodedPath(url), decodedPath(resource))
  )
}

/** The path for servers that decode separators, or drop parameters, before they look at its dots. */
function decodedPath(url: URL): string {
  const decoded = new URL(url.origin)
  decoded.pathname = url.pathname.replace(/%2f|%5c/gi, '/').replace(/;[^/]*/g, '')
  return decoded.pathname
}

async function readMetadata(response: Response, used: URL): Promise<ResourceServer> {
  const body: unknown = await response
    .clone()
    .json()
    .catch(() => undefined)
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
      `What the resource ${used.origin} publishes is not protected resource metadata`,
    )
  }
  if (!isWithin(used, new URL(resource))) {
    throw new OAuthError(
      'ERR_OAUTH_RESOURCE_MISMATCH',
      `The metadata is of the resource ${serverValue(resource)}, which does not cover ${used.origin}${used.pathname}`,
    )
  }
  return processResourceDiscoveryResponse(new URL(resource), response)
}

function isListOrAbsent(value: unknown): boolean {
  if (value === undefined) return true
  return Array.isArray(value) && value.every((one) => typeof one === 'string')
}
