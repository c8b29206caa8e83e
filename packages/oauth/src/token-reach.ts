import { isWithin } from './protected-resource.ts'

/**
 * Tells which URLs a resource's access token may be sent to: the resource's origin and path, without the token
 * endpoint and the well-known locations, which may lie below it.
 */
export function tokenReach(
  resource: URL,
  tokenEndpoint: () => string | undefined,
): (url: URL) => boolean {
  return (url) =>
    isWithin(url, resource) &&
    !/\/(\.|%2e)well-known(\/|$)/i.test(url.pathname) &&
    !isEndpoint(url, tokenEndpoint())
}

function isEndpoint(url: URL, endpoint: string | undefined): boolean {
  if (endpoint === undefined || !URL.canParse(endpoint)) return false
  const { origin, pathname } = new URL(endpoint)
  return url.origin === origin && url.pathname === pathname
}
