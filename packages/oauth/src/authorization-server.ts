import { isLoopback, mayBeLoopback, sanitize, sanitizeValue } from '@countersign/core/backend'
import type { AuthorizationServer } from 'oauth4webapi'
import type { ClientAuthenticationMethod } from './client-authentication.ts'
import { OAuthError } from './error.ts'

/** Who named a URL that {@link requireSecureUrl} is asked about. */
export interface SecureUrlOptions {
  /** The URL of the server that named it; left out for a URL from the caller's own configuration. */
  readonly namedBy?: URL | string | undefined
}

/**
 * Refuses a URL that is neither https nor on this machine's loopback interface, or that another machine names on
 * loopback.
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
 * import { requireSecureUrl } from '@countersign/oauth/provider'
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

/** Refuses a URL on loopback that was named by a server which is not on loopback itself, whatever its scheme. */
export function requireReachable(url: URL, what: string, namedBy: URL | string): void {
  if (!leadsToLoopback(url, namedBy)) return
  throw new OAuthError(
    'ERR_OAUTH_INSECURE_ENDPOINT',
    `${sanitize(String(namedBy))} names as its ${what} ${originOf(url)}, which is on this machine; nothing was sent there`,
  )
}

/** Whether a URL leads from another machine to this one. A host may always name itself. */
export function leadsToLoopback(url: URL, from: URL | string): boolean {
  const host = URL.canParse(String(from)) ? new URL(from).hostname : ''
  return mayBeLoopback(url.hostname) && !isLoopback(host) && url.hostname !== host
}

/** The origin of a URL, fit for a message; hosts may be of any length. */
export function originOf(url: URL): string {
  return sanitize(url.origin === 'null' ? url.protocol : url.origin)
}

/**
 * Tells whether two issuer identifiers are the same.
 *
 * RFC 8414 compares character by character; the one difference that is overlooked is that of
 * `https://as.example.com` and `https://as.example.com/`, which are one URL.
 */
export function sameIssuer(one: string, other: string): boolean {
  return one === other || withRootPath(one) === withRootPath(other)
}

function withRootPath(issuer: string): string {
  return /^https?:\/\/[^/?#]+$/.test(issuer) ? `${issuer}/` : issuer
}

/** Refuses metadata that is not of the issuer it was asked of, RFC 8414 §3.3. */
export function requireIssuer(as: AuthorizationServer, expected: string): void {
  if (typeof as.issuer === 'string' && sameIssuer(as.issuer, expected)) return
  throw new OAuthError(
    'ERR_OAUTH_ISSUER_MISMATCH',
    `The authorization server's metadata names the issuer ${sanitizeValue(as.issuer)}, but ${sanitizeValue(expected)} was expected; nothing was signed`,
  )
}

/**
 * Refuses an assertion for another server than the one that it is about to be sent to, RFC 10070.
 *
 * Each value must be the issuer, or the token endpoint if that is at the issuer's origin: a hostile server may name the
 * token endpoint of another server, and the token from there would go to the hostile resource.
 *
 * @param audience - the `aud` of the assertion: a string, or an array of which every value is checked.
 */
export function requireAudience(as: AuthorizationServer, audience: unknown): void {
  const values: readonly unknown[] = Array.isArray(audience) ? audience : [audience]
  const isOwn = (value: unknown) =>
    typeof value === 'string' && (sameIssuer(value, as.issuer) || value === ownTokenEndpoint(as))
  if (values.length > 0 && values.every(isOwn)) return
  throw new OAuthError(
    'ERR_OAUTH_AUDIENCE',
    `The assertion has the audience ${sanitizeValue(audience)}, but would go to ${sanitizeValue(as.issuer)}; nothing was sent. Pin the issuer of the server that it is for, or make it for the issuer or the token endpoint of the server it goes to`,
  )
}

function ownTokenEndpoint({ issuer, token_endpoint: endpoint }: AuthorizationServer) {
  if (endpoint === undefined || !URL.canParse(endpoint) || !URL.canParse(issuer)) return undefined
  return new URL(endpoint).origin === new URL(issuer).origin ? endpoint : undefined
}

/** Refuses metadata of another issuer than those that are pinned, and tells whether one is. */
export function requirePinnedIssuer(
  as: AuthorizationServer,
  ...pins: readonly (string | undefined)[]
): boolean {
  const pinned = pins.filter((pin) => pin !== undefined)
  for (const pin of pinned) requireIssuer(as, pin)
  return pinned.length > 0
}

/** Refuses a server that does not list the method, or the algorithm, that the client is about to use. */
export function requireAdvertised(
  as: AuthorizationServer,
  method: ClientAuthenticationMethod,
  alg?: string,
): void {
  // RFC 8414 §2: without the list, only client_secret_basic is there.
  const methods = listed(as, 'token_endpoint_auth_methods_supported') ?? ['client_secret_basic']
  if (!methods.includes(method)) {
    throw new OAuthError(
      'ERR_OAUTH_METHOD_NOT_ADVERTISED',
      `${sanitizeValue(as.issuer)} does not list ${method} in "token_endpoint_auth_methods_supported" (it lists ${sanitizeValue(methods)}); enable it there, or use a listed method`,
    )
  }
  if (alg === undefined) return
  // Some servers that do accept private_key_jwt leave this list out: no list contradicts nothing.
  const algs = listed(as, 'token_endpoint_auth_signing_alg_values_supported')
  if (algs === undefined || algs.includes(alg)) return
  throw new OAuthError(
    'ERR_OAUTH_ALG_NOT_ADVERTISED',
    `${sanitizeValue(as.issuer)} does not list ${alg} in "token_endpoint_auth_signing_alg_values_supported" (it lists ${sanitizeValue(algs)}); ${remedy(alg, algs)}`,
  )
}

/** A list of strings in the metadata. A string is not accepted, although it has `includes` as well. */
function listed(
  as: AuthorizationServer,
  member:
    | 'token_endpoint_auth_methods_supported'
    | 'token_endpoint_auth_signing_alg_values_supported',
): readonly string[] | undefined {
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

function remedy(alg: string, algs: readonly string[]): string {
  const sameKey = { Ed25519: 'EdDSA', EdDSA: 'Ed25519' }[alg]
  return sameKey !== undefined && algs.includes(sameKey)
    ? `give the signer the option alg: '${sameKey}', which is the same signature under the name this server knows`
    : 'use a key of a listed algorithm'
}
