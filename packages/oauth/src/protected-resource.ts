import {
  allowInsecureRequests,
  customFetch,
  processResourceDiscoveryResponse,
  type ResourceServer,
  resourceDiscoveryRequest,
} from 'oauth4webapi'
import { requireSecureUrl } from './authorization-server.ts'
import type { DiscoveryOptions } from './discovery.ts'
import { OAuthError } from './error.ts'
import { boundedFetch, describeFetchError } from './http.ts'

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
  const { metadataUrl, signal = new AbortController().signal } = options
  const fetch = boundedFetch(options.fetch ?? globalThis.fetch)
  const used = requireSecureUrl(url, 'resource')
  const ask = async (request: () => Promise<Response>) => {
    const response = await request().catch((error) => {
      throw describeFetchError(error, signal, `metadata of the resource ${used.origin}`)
    })
    return response.status === 200 ? readMetadata(response, used) : response.status
  }

  let found: ResourceServer | number
  if (metadataUrl !== undefined) {
    const { href } = requireSecureUrl(metadataUrl, 'location of the resource metadata')
    const init = { headers: { accept: 'application/json' }, redirect: 'manual', signal }
    found = await ask(() => fetch(href, init))
  } else {
    const init = {
      signal,
      [customFetch]: fetch,
      [allowInsecureRequests]: used.protocol === 'http:',
    }
    found = await ask(() => resourceDiscoveryRequest(new URL(used.pathname, used), init))
    if (typeof found === 'number' && used.pathname !== '/') {
      found = await ask(() => resourceDiscoveryRequest(new URL('/', used), init))
    }
  }
  if (typeof found !== 'number') return found
  throw new OAuthError(
    found >= 500 || found === 429 ? 'ERR_OAUTH_UNAVAILABLE' : 'ERR_OAUTH_DISCOVERY',
    `The metadata of the resource ${url} was answered with HTTP status ${found}`,
    { status: found },
  )
}

/** Tells whether a URL is at a resource's origin, and at or below its path. */
export function isWithin(url: URL, resource: URL): boolean {
  const path = resource.pathname.endsWith('/') ? resource.pathname : `${resource.pathname}/`
  return url.origin === resource.origin && `${url.pathname}/`.startsWith(path)
}

async function readMetadata(response: Response, used: URL): Promise<ResourceServer> {
  const body: unknown = await response
    .clone()
    .json()
    .catch(() => undefined)
  const resource = (body as Partial<ResourceServer> | undefined)?.resource
  if (typeof resource !== 'string' || !URL.canParse(resource)) {
    throw new OAuthError(
      'ERR_OAUTH_DISCOVERY',
      `What the resource ${used.origin} publishes is not protected resource metadata`,
    )
  }
  if (!isWithin(used, new URL(resource))) {
    throw new OAuthError(
      'ERR_OAUTH_RESOURCE_MISMATCH',
      `The metadata is of the resource ${JSON.stringify(resource)}, which does not cover ${used.origin}${used.pathname}`,
    )
  }
  return processResourceDiscoveryResponse(new URL(resource), response)
}
