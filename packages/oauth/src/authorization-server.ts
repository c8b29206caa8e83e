import type { AuthorizationServer } from 'oauth4webapi'
import type { ClientAuthenticationMethod } from './client-authentication.ts'
import { OAuthError } from './error.ts'

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
  return (
    hostname === 'localhost' ||
    hostname.endsWith('.localhost') ||
    hostname === '[::1]' ||
    /^127\.\d+\.\d+\.\d+$/.test(hostname)
  )
}

/**
 * Tells whether two issuer identifiers are the same.
 *
 * RFC 8414 compares character by character; the one difference that is overlooked is that of
 * `https://as.example.com` and `https://as.example.com/`, which are one URL.
 */
export function sameIssuer(one: string, other: string): boolean {
  return (
    one === other || (URL.canParse(one) && URL.canParse(other) && hrefOf(one) === hrefOf(other))
  )
}

function hrefOf(issuer: string): string {
  return new URL(issuer).href
}

/** Refuses metadata that is not of the issuer it was asked of, RFC 8414 §3.3. */
export function requireIssuer(as: AuthorizationServer, expected: string): void {
  if (typeof as.issuer === 'string' && sameIssuer(as.issuer, expected)) return
  throw new OAuthError(
    'ERR_OAUTH_ISSUER_MISMATCH',
    `The authorization server's metadata names the issuer ${JSON.stringify(as.issuer)}, but ${JSON.stringify(expected)} was expected; nothing was signed`,
  )
}

/** Refuses a server that does not list the method, or the algorithm, that the client is about to use. */
export function requireAdvertised(
  as: AuthorizationServer,
  method: ClientAuthenticationMethod,
  alg?: string,
): void {
  // RFC 8414 §2: without the list, only client_secret_basic is there.
  const methods = as.token_endpoint_auth_methods_supported ?? ['client_secret_basic']
  if (!methods.includes(method)) {
    throw new OAuthError(
      'ERR_OAUTH_METHOD_NOT_ADVERTISED',
      `${as.issuer} does not list ${method} in "token_endpoint_auth_methods_supported" (it lists ${list(methods)}); enable it there, or use a listed method`,
    )
  }
  // Some servers that do accept private_key_jwt leave this list out: no list contradicts nothing.
  const algs = as.token_endpoint_auth_signing_alg_values_supported
  if (alg === undefined || algs === undefined || algs.includes(alg)) return
  throw new OAuthError(
    'ERR_OAUTH_ALG_NOT_ADVERTISED',
    `${as.issuer} does not list ${alg} in "token_endpoint_auth_signing_alg_values_supported" (it lists ${list(algs)}); ${remedy(alg, algs)}`,
  )
}

function remedy(alg: string, algs: readonly string[]): string {
  const sameKey = { Ed25519: 'EdDSA', EdDSA: 'Ed25519' }[alg]
  return sameKey !== undefined && algs.includes(sameKey)
    ? `give the signer the option alg: '${sameKey}', which is the same signature under the name this server knows`
    : 'use a key of a listed algorithm'
}

function list(values: readonly unknown[]): string {
  return values.length === 0 ? 'none' : values.slice(0, 20).map(String).join(', ')
}
