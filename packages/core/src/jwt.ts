import { Buffer } from 'node:buffer'
import { randomFillSync } from 'node:crypto'
import { signAtOnce } from './create-signer.ts'
import { jsonMembers } from './json-members.ts'
import { compact, encodeHeader } from './jws.ts'
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
 * Makes a JWT of RFC 7523 §3, in compact serialization.
 *
 * What it does beside the signature is all that an assertion costs more than that. So what one assertion has in
 * common with the next is encoded once, and a signature that is there at once is not waited for.
 */
export function signJwt(
  signer: Signer,
  issuer: string,
  subject: string,
  typ: string,
  options: JwtOptions,
): string | Promise<string> {
  const { audience, claims, header, lifetimeSeconds = 60, now = Date.now } = options
  requireString(audience, 'audience')
  requireString(typ, 'typ')
  if (!Number.isInteger(lifetimeSeconds) || lifetimeSeconds < 1 || lifetimeSeconds > 3600) {
    throw new TypeError('"lifetimeSeconds" must be a whole number from 1 to 3600')
  }
  const iat = Math.floor(now() / 1000)
  if (!Number.isSafeInteger(iat)) throw new TypeError('"now" must return milliseconds as a number')
  const shared = sharedParts(signer, issuer, subject, audience, typ, iat, iat + lifetimeSeconds)
  const rest =
    claims === undefined
      ? shared.rest
      : base64url(`${shared.claims}${jsonMembers(claims, reservedClaims, 'claims')}}`)
  const protectedHeader =
    header === undefined ? shared.header : `${encodeHeader(signer, header, reservedHeader, typ)}.`
  const start = payloadStart()
  const signingInput = Buffer.allocUnsafe(protectedHeader.length + start.length + rest.length)
  signingInput.write(protectedHeader, 'latin1')
  signingInput.write(start, protectedHeader.length, 'latin1')
  signingInput.write(rest, protectedHeader.length + start.length, 'latin1')
  const text = protectedHeader + start + rest
  const signature = signAtOnce(signer, signingInput, options)
  return signature instanceof Uint8Array
    ? compact(text, signature)
    : Promise.resolve(signature).then((octets) => compact(text, octets))
}

interface SharedParts {
  readonly alg: string
  readonly kid: string
  readonly issuer: string
  readonly subject: string
  readonly audience: string
  readonly typ: string
  readonly iat: number
  readonly exp: number
  /** The header without members of the caller's, as base64url, with the dot behind it. */
  readonly header: string
  /** The claims behind the value of "jti", as JSON that more may be added to. */
  readonly claims: string
  /** The same without more, as base64url. */
  readonly rest: string
}

const lastSharedParts = new WeakMap<Signer, SharedParts>()

/** What all assertions of one client for one server have in common within a second: all but the "jti". */
function sharedParts(
  signer: Signer,
  issuer: string,
  subject: string,
  audience: string,
  typ: string,
  iat: number,
  exp: number,
): SharedParts {
  const last = lastSharedParts.get(signer)
  if (
    last !== undefined &&
    last.iat === iat &&
    last.exp === exp &&
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
  const claims = `","iss":${iss},"sub":${sub},"aud":${aud},"iat":${iat},"exp":${exp}`
  const header = `${encodeHeader(signer, {}, reservedHeader, typ)}.`
  const rest = base64url(`${claims}}`)
  const { alg, kid } = signer
  const parts = { alg, kid, issuer, subject, audience, typ, iat, exp, header, claims, rest }
  lastSharedParts.set(signer, parts)
  return parts
}

const batch = 128
const random = Buffer.alloc(16 * batch)
// Up to the end of its "jti" a payload is 30 octets, and so 40 characters of base64url, whatever follows.
const starts = Buffer.alloc(30 * batch, `{"jti":"${' '.repeat(22)}`)
let encodedStarts = ''
let next = 0

/** The start of a payload, with a "jti" of 128 random bits, as base64url; made in batches, each handed out once. */
function payloadStart(): string {
  if (next === encodedStarts.length) {
    randomFillSync(random)
    for (let index = 0; index < batch; index++) {
      const id = random.toString('base64url', 16 * index, 16 * (index + 1))
      starts.write(id, 30 * index + 8, 'latin1')
    }
    encodedStarts = starts.toString('base64url')
    next = 0
  }
  next += 40
  return encodedStarts.slice(next - 40, next)
}

function base64url(text: string): string {
  return Buffer.from(text).toString('base64url')
}

/** Refuses anything but a non-empty string. */
export function requireString(value: unknown, option: string): asserts value is string {
  if (typeof value !== 'string' || value === '') {
    throw new TypeError(`"${option}" must be a non-empty string`)
  }
}
