import { randomFillSync } from 'node:crypto'
import { jsonMembers } from './json-members.ts'
import { encodeHeader } from './jws.ts'
import type { Signer } from './signer.ts'

/** What the two JWT profiles of RFC 7523 have in common. */
export interface JwtOptions {
  /** Who is asked to accept the assertion, one string: the authorization server's issuer identifier. */
  readonly audience: string
  /** Time from `iat` to `exp`, a whole number of seconds from 1 to 3600; 60 by default. */
  readonly lifetimeSeconds?: number | undefined
  /** Further claims; none of `iss`, `sub`, `aud`, `iat`, `exp` and `jti` can be replaced. */
  readonly claims?: Readonly<Record<string, unknown>> | undefined
  /** Further protected header members, such as `x5t#S256`; none of `alg`, `kid` and `typ` can be replaced. */
  readonly header?: Readonly<Record<string, unknown>> | undefined
  /** Gives up waiting; the promise then rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined
  /** The clock, in milliseconds since the epoch; `Date.now` by default. */
  readonly now?: (() => number) | undefined
}

const reservedClaims: ReadonlySet<string> = new Set(['iss', 'sub', 'aud', 'iat', 'exp', 'jti'])
const reservedHeader: ReadonlySet<string> = new Set(['alg', 'kid', 'typ', 'b64', 'crit'])

/**
 * Builds the signing input of a JWT of RFC 7523 §3; nothing of it is kept.
 *
 * Written as text, since this is the only work beside the signature itself that each assertion costs.
 */
export function jwtSigningInput(
  signer: Signer,
  issuer: string,
  subject: string,
  typ: string,
  options: JwtOptions,
): string {
  const { audience, claims, header, lifetimeSeconds = 60, now = Date.now } = options
  requireString(audience, 'audience')
  requireString(typ, 'typ')
  if (!Number.isInteger(lifetimeSeconds) || lifetimeSeconds < 1 || lifetimeSeconds > 3600) {
    throw new TypeError('"lifetimeSeconds" must be a whole number from 1 to 3600')
  }
  const iat = Math.floor(now() / 1000)
  if (!Number.isSafeInteger(iat)) throw new TypeError('"now" must return milliseconds as a number')
  const fixed = fixedParts(signer, issuer, subject, audience, typ)
  const further = claims === undefined ? '' : jsonMembers(claims, reservedClaims, 'claims')
  const payload = `{${fixed.parties},"iat":${iat},"exp":${iat + lifetimeSeconds},"jti":"${randomId()}"${further}}`
  const encodedHeader =
    header === undefined ? fixed.header : encodeHeader(signer, header, reservedHeader, typ)
  return `${encodedHeader}.${Buffer.from(payload).toString('base64url')}`
}

interface FixedParts {
  readonly alg: string
  readonly kid: string
  readonly issuer: string
  readonly subject: string
  readonly audience: string
  readonly typ: string
  /** "iss", "sub" and "aud" as JSON members. */
  readonly parties: string
  /** The header without members of the caller's, as base64url. */
  readonly header: string
}

const lastFixedParts = new WeakMap<Signer, FixedParts>()

/** What is the same in each assertion of one client for one server, which is nearly all that a signer makes. */
function fixedParts(
  signer: Signer,
  issuer: string,
  subject: string,
  audience: string,
  typ: string,
): FixedParts {
  const last = lastFixedParts.get(signer)
  if (
    last !== undefined &&
    last.alg === signer.alg &&
    last.kid === signer.kid &&
    last.issuer === issuer &&
    last.subject === subject &&
    last.audience === audience &&
    last.typ === typ
  ) {
    return last
  }
  const [iss, sub, aud] = [issuer, subject, audience].map((party) => JSON.stringify(party))
  const parts = {
    alg: signer.alg,
    kid: signer.kid,
    issuer,
    subject,
    audience,
    typ,
    parties: `"iss":${iss},"sub":${sub},"aud":${aud}`,
    header: encodeHeader(signer, {}, reservedHeader, typ),
  }
  lastFixedParts.set(signer, parts)
  return parts
}

/** Refuses anything but a non-empty string. */
export function requireString(value: unknown, option: string): asserts value is string {
  if (typeof value !== 'string' || value === '') {
    throw new TypeError(`"${option}" must be a non-empty string`)
  }
}

const idLength = 16
const pool = Buffer.alloc(idLength * 256)
let next = pool.byteLength

/** 128 random bits as base64url, from a pool that is refilled when used up. */
function randomId(): string {
  if (next === pool.byteLength) {
    randomFillSync(pool)
    next = 0
  }
  next += idLength
  return pool.toString('base64url', next - idLength, next)
}
