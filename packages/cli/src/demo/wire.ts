import type { Exchange } from './observe.ts'

/** A JSON object of which nothing is known. */
export type Members = Readonly<Record<string, unknown>>

/** The first exchange that matches; one that did not happen ends the demo. */
export function findExchange(
  exchanges: readonly Exchange[],
  what: string,
  matches: (exchange: Exchange) => boolean,
): Exchange {
  const found = exchanges.find(matches)
  if (found === undefined) throw new Error(`no ${what} went over the wire`)
  return found
}

/** Matches the request for a well-known document, RFC 8615. */
export const isWellKnown =
  (name = '') =>
  ({ url }: Exchange): boolean =>
    url.pathname.startsWith(`/.well-known/${name}`)

/** Matches a token request, RFC 6749 §3.2. */
export const isTokenRequest = ({ method, url }: Exchange): boolean =>
  method === 'POST' && url.pathname === '/token'

/** The parameters of a challenge, RFC 9110 §11.2. */
export function challengeOf({ headers }: Exchange): Members {
  const challenge = headers.get('www-authenticate') ?? ''
  const parameters = challenge.matchAll(/(\w+)="([^"]*)"/g)
  return Object.fromEntries([...parameters].map(([, name, value]) => [name, value]))
}

/** What a JWT in compact serialization says, RFC 7515 §7.1, without the signature. */
export function partsOf(jwt: unknown): {
  header: Members
  claims: Members
  signatureWidth: number
} {
  const [header = '', payload = '', signature = ''] = String(jwt).split('.')
  const read = (part: string) => members(JSON.parse(Buffer.from(part, 'base64url').toString()))
  return {
    header: read(header),
    claims: read(payload),
    signatureWidth: Buffer.from(signature, 'base64url').length,
  }
}

/** The members of what may be a JSON object. */
export function members(value: unknown): Members {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
