import { isLoopback, mayBeLoopback, sanitize, sanitizeValue } from '@countersign/core/backend'
import type { AuthorizationServer } from 'oauth4webapi'
import { OAuthError } from './errors.ts'

/** Options of {@link requireSecureUrl}. */
export interface SecureUrlOptions {
  /** The URL of the server that named the URL; left out for a URL from the caller's own configuration. */
  readonly namedBy?: URL | string | undefined
}

/**
 * Refuses a URL that is neither https nor on this machine's loopback interface, and a loopback URL that another machine
 * named.
 *
 * @param value - the URL as it was read.
 * @param what - names the URL in errors.
 * @param options - the server that named the URL.
 * @returns the parsed URL.
 * @throws {@link OAuthError} `ERR_OAUTH_DISCOVERY` when the value is not a URL, `ERR_OAUTH_INSECURE_ENDPOINT` when it is
 *   refused.
 *
 * @example
 * ```ts
 * import { requireSecureUrl } from '@countersign/oauth/internal'
 *
 * const issuer = 'https://as.example.com'
 * const endpoint = requireSecureUrl(`${issuer}/token`, 'token endpoint', { namedBy: issuer })
 * ```
 *
 * @see [RFC 8414 §6.1](https://www.rfc-editor.org/rfc/rfc8414#section-6.1)
 */
export function requireSecureUrl(
  value: unknown,
  what: string,
  { namedBy }: SecureUrlOptions = {},
): URL {
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined
  if (url === undefined) {
    throw new OAuthError('ERR_OAUTH_DISCOVERY', `The ${what} is not a URL`)
  }
  if (url.username !== '' || url.password !== '') {
    throw new OAuthError('ERR_OAUTH_INSECURE_ENDPOINT', `The ${what} has credentials in it`)
  }
  if (namedBy !== undefined) requireReachable(url, what, namedBy)
  if (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname)))
    return url
  throw new OAuthError(
    'ERR_OAUTH_INSECURE_ENDPOINT',
    `The ${what} ${originOf(url)} is neither https nor on loopback; nothing was sent there`,
  )
}

/** The token endpoint of a server, checked as {@link requireSecureUrl} does. */
export function requireTokenEndpoint(as: AuthorizationServer): URL {
  return requireSecureUrl(as.token_endpoint, 'token endpoint', { namedBy: as.issuer })
}

/** Refuses a URL on loopback that a server on another machine named, whatever its scheme. */
export function requireReachable(url: URL, what: string, namedBy: URL | string): void {
  if (!leadsToLoopback(url, namedBy)) return
  throw new OAuthError(
    'ERR_OAUTH_INSECURE_ENDPOINT',
    `${sanitize(String(namedBy))} names as its ${what} ${originOf(url)}, which is on this machine; nothing was sent there`,
  )
}

/** Tells whether a URL leads from another machine to this one. A host may always name itself. */
export function leadsToLoopback(url: URL, from: URL | string): boolean {
  const host = URL.canParse(String(from)) ? new URL(from).hostname : ''
  return mayBeLoopback(url.hostname) && !isLoopback(host) && url.hostname !== host
}

/** The origin of a URL for an error message. It is cut, since a host name may have any length. */
export function originOf(url: URL): string {
  return sanitize(url.origin === 'null' ? url.protocol : url.origin)
}

/**
 * Tells whether a URL is at a resource's origin, and at or below its path, for every server and proxy in between.
 *
 * A path that they may read in different ways is never within the resource, even if it is harmless: a path below the
 * resource's with an encoded separator (`%2F`, `%5C`), an encoded percent sign or control character, a dot segment with
 * parameters (`..;`), or bytes that are not UTF-8.
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

/**
 * Tells whether two issuer identifiers are the same.
 *
 * RFC 8414 compares them character by character. One difference is accepted: `https://as.example.com` and
 * `https://as.example.com/` are the same URL.
 */
export function sameIssuer(one: string, other: string): boolean {
  return one === other || withRootPath(one) === withRootPath(other)
}

function withRootPath(issuer: string): string {
  return /^https?:\/\/[^/?#]+$/.test(issuer) ? `${issuer}/` : issuer
}

/** Refuses metadata of another issuer than the expected one, RFC 8414 §3.3. */
export function requireIssuer(as: AuthorizationServer, expected: string): void {
  if (typeof as.issuer === 'string' && sameIssuer(as.issuer, expected)) return
  throw new OAuthError(
    'ERR_OAUTH_ISSUER_MISMATCH',
    `The authorization server's metadata names the issuer ${sanitizeValue(as.issuer)}, but ${sanitizeValue(expected)} was expected; nothing was signed`,
  )
}

/** Refuses metadata of another issuer than each pinned one, and tells whether an issuer is pinned. */
export function requirePinnedIssuer(
  as: AuthorizationServer,
  ...pins: readonly (string | undefined)[]
): boolean {
  const pinned = pins.filter((pin) => pin !== undefined)
  for (const pin of pinned) requireIssuer(as, pin)
  return pinned.length > 0
}

/**
 * Refuses an assertion for another server than the one that it would be sent to, RFC 10070.
 *
 * Each value must be the issuer, or the token endpoint if it is at the issuer's origin: a hostile server may name the
 * token endpoint of another server, and the token from there would be sent to the hostile resource.
 *
 * @param as - a server whose token endpoint was checked by {@link requireTokenEndpoint}.
 * @param audience - the `aud` of the assertion: a string, or an array of which every value is checked.
 */
export function requireAudience(as: AuthorizationServer, audience: unknown): void {
  const values: readonly unknown[] = Array.isArray(audience) ? audience : [audience]
  const isServer = (value: unknown) =>
    typeof value === 'string' &&
    (sameIssuer(value, as.issuer) || (value === as.token_endpoint && isAtOrigin(value, as.issuer)))
  if (values.length > 0 && values.every(isServer)) return
  throw new OAuthError(
    'ERR_OAUTH_AUDIENCE',
    `The assertion has the audience ${sanitizeValue(audience)}, but would be sent to ${sanitizeValue(as.issuer)}; nothing was sent. Pin the issuer of the server that it is for, or use the issuer or the token endpoint of the server that it is sent to as its audience`,
  )
}

function isAtOrigin(url: string, issuer: string): boolean {
  return URL.canParse(issuer) && new URL(url).origin === new URL(issuer).origin
}

/**
 * Refuses a server whose metadata does not list an authentication method, or its signing algorithm.
 *
 * @param method - the registered name of the method.
 * @param alg - the algorithm; left out for a method that has none, or while it is not known.
 */
export function requireAdvertised(as: AuthorizationServer, method: string, alg?: string): void {
  // RFC 8414 §2: a server without this list supports client_secret_basic only.
  const methods = listIn(as, 'token_endpoint_auth_methods_supported') ?? ['client_secret_basic']
  if (!methods.includes(method)) {
    throw new OAuthError(
      'ERR_OAUTH_METHOD_NOT_ADVERTISED',
      `${sanitizeValue(as.issuer)} does not list ${method} in "token_endpoint_auth_methods_supported" (it lists ${sanitizeValue(methods)}); enable it there, or use a listed method`,
    )
  }
  // Some servers that accept private_key_jwt leave this list out, so a missing list refuses no algorithm.
  requireAlgorithm(as, 'token_endpoint_auth_signing_alg_values_supported', alg)
}

/** Refuses a server that lists algorithms without this one; a missing list, or `undefined` as algorithm, is accepted. */
export function requireAlgorithm(
  as: AuthorizationServer,
  member: string,
  alg: string | undefined,
): void {
  const algs = listIn(as, member)
  if (alg === undefined || algs === undefined || algs.includes(alg)) return
  throw new OAuthError(
    'ERR_OAUTH_ALG_NOT_ADVERTISED',
    `${sanitizeValue(as.issuer)} does not list ${alg} in "${member}" (it lists ${sanitizeValue(algs)}); ${algorithmAdvice(alg, algs)}`,
  )
}

/** A list of strings in the metadata. A string is refused, because it has a method `includes` as well. */
export function listIn(as: AuthorizationServer, member: string): readonly string[] | undefined {
  const value: unknown = as[member] ?? undefined
  if (value === undefined || isListOfStrings(value)) return value
  throw new OAuthError(
    'ERR_OAUTH_DISCOVERY',
    `"${member}" in the metadata of ${sanitizeValue(as.issuer)} is not a list of strings; nothing was signed`,
  )
}

export function isListOfStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string')
}

function algorithmAdvice(alg: string, algs: readonly string[]): string {
  const sameKey = { Ed25519: 'EdDSA', EdDSA: 'Ed25519' }[alg]
  return sameKey !== undefined && algs.includes(sameKey)
    ? `give the signer the option alg: '${sameKey}', which is another name of the same signature`
    : 'use a key of a listed algorithm'
}
