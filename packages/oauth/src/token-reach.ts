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
    !/\/\.well-known(\/|$)/i.test(decodedPath(url)) &&
    !isEndpoint(url, tokenEndpoint())
}

function isEndpoint(url: URL, endpoint: string | undefined): boolean {
  if (endpoint === undefined || !URL.canParse(endpoint)) return false
  const other = new URL(endpoint)
  return url.origin === other.origin && decodedPath(url) === decodedPath(other)
}

/** The path as servers read it that decode it and merge slashes. */
function decodedPath({ pathname }: URL): string {
  try {
    return decodeURIComponent(pathname).replace(/\/+/g, '/')
  } catch {
    return pathname
  }
}
