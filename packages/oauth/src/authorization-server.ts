import type { AuthorizationServer } from 'oauth4webapi'
import type { ClientAuthenticationMethod } from './client-authentication.ts'
import { OAuthError } from './error.ts'
import { serverValue } from './server-words.ts'

/** Refuses a URL that is neither https nor on this machine's loopback interface. */
export function requireSecureUrl(value: unknown, what: string): URL {
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined
  if (url === undefined) {
    throw new OAuthError('ERR_OAUTH_DISCOVERY', `The ${what} is not a URL`)
  }
  if (url.username !== '' || url.password !== '') {
    throw new OAuthError('ERR_OAUTH_INSECURE_ENDPOINT', `The ${what} has credentials in it`)
  }
  if (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname)))
    return url
  throw new OAuthError(
    'ERR_OAUTH_INSECURE_ENDPOINT',
    `The ${what} ${url.origin} is neither https nor on loopback; nothing was sent there`,
  )
}

function isLoopback(hostname: string): boolean {
  // Names below "localhost" are left to whatever answers for DNS by many resolvers.
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d+){3}$/.test(hostname)
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
    `The authorization server's metadata names the issuer ${serverValue(as.issuer)}, but ${serverValue(expected)} was expected; nothing was signed`,
  )
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
      `${serverValue(as.issuer)} does not list ${method} in "token_endpoint_auth_methods_supported" (it lists ${serverValue(methods)}); enable it there, or use a listed method`,
    )
  }
  if (alg === undefined) return
  // Some servers that do accept private_key_jwt leave this list out: no list contradicts nothing.
  const algs = listed(as, 'token_endpoint_auth_signing_alg_values_supported')
  if (algs === undefined || algs.includes(alg)) return
  throw new OAuthError(
    'ERR_OAUTH_ALG_NOT_ADVERTISED',
    `${serverValue(as.issuer)} does not list ${alg} in "token_endpoint_auth_signing_alg_values_supported" (it lists ${serverValue(algs)}); ${remedy(alg, algs)}`,
  )
}

/** A list of the metadata; a string is none, though it, too, includes things. */
function listed(
  as: AuthorizationServer,
  member:
    | 'token_endpoint_auth_methods_supported'
    | 'token_endpoint_auth_signing_alg_values_supported',
): readonly unknown[] | undefined {
  const value: unknown = as[member] ?? undefined
  if (value === undefined || Array.isArray(value)) return value
  throw new OAuthError(
    'ERR_OAUTH_DISCOVERY',
    `"${member}" in the metadata of ${serverValue(as.issuer)} is not a list; nothing was signed`,
  )
}

function remedy(alg: string, algs: readonly unknown[]): string {
  const sameKey = { Ed25519: 'EdDSA', EdDSA: 'Ed25519' }[alg]
  return sameKey !== undefined && algs.includes(sameKey)
    ? `give the signer the option alg: '${sameKey}', which is the same signature under the name this server knows`
    : 'use a key of a listed algorithm'
}
