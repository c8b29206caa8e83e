import { Buffer } from 'node:buffer'
import { randomFillSync } from 'node:crypto'
import { encodeJson, readMembers, signCompact, withSigner } from './jws.ts'
import { ownOptions, requireString } from './options.ts'
import type { PublicJwk } from './public-key.ts'
import type { Signer, SignerSource } from './signer.ts'

/** Options of {@link signJwt}. */
export interface SignJwtOptions {
  /** The header's `typ`; `JWT` by default. */
  readonly typ?: string | undefined
  /**
   * The header's `kid` in place of the signer's own: a string, or a function that makes one from the public key of the
   * signer that signs, such as {@link spkiThumbprint}; `null` leaves it out.
   */
  readonly kid?: string | null | ((publicJwk: PublicJwk) => string) | undefined
  /** Further protected header members, such as `x5t#S256`; `alg`, `kid`, `typ`, `b64` and `crit` cannot be set here. */
  readonly header?: Readonly<Record<string, unknown>> | undefined
  /** Stops waiting; the promise then rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined
}

/** Options that the two JWT profiles of RFC 7523 share. */
export interface JwtOptions extends SignJwtOptions {
  /** The party that is asked to accept the assertion, one string: the authorization server's issuer identifier. */
  readonly audience: string
  /** Time from `iat` to `exp`, a whole number of seconds from 1 to 3600; 60 by default. */
  readonly lifetimeSeconds?: number | undefined
  /** Further claims; none of `iss`, `sub`, `aud`, `iat`, `exp` and `jti` can be replaced. */
  readonly claims?: Readonly<Record<string, unknown>> | undefined
  /** The clock, in milliseconds since the epoch; `Date.now` by default. */
  readonly now?: (() => number) | undefined
}

const reservedHeader = ['alg', 'kid', 'typ', 'b64', 'crit']
const reservedClaims = ['iss', 'sub', 'aud', 'iat', 'exp', 'jti']

/**
 * Signs any claims as a JWT in compact serialization. It adds no claim and checks none.
 *
 * @param source - the signer; the header gets its `alg`, and its `kid` unless `kid` says otherwise.
 * @param claims - the claims set, an object that is written as JSON.
 * @param options - `typ`, `kid`, further header members, and a signal.
 * @returns `header.claims.signature`, each base64url without padding.
 * @throws {@link SignerError} when the signer cannot sign.
 * @throws `TypeError` when an argument is not of its type, or a header member is one that cannot be set.
 *
 * @example
 * ```ts
 * import { type Signer, signJwt } from '@countersign/core'
 *
 * declare const signer: Signer
 *
 * const now = Math.floor(Date.now() / 1000)
 * const jwt = await signJwt(signer, { iss: '12345', iat: now - 60, exp: now + 540 })
 * ```
 *
 * @see [RFC 7519 §7.1](https://www.rfc-editor.org/rfc/rfc7519#section-7.1)
 */
export async function signJwt(
  source: SignerSource,
  claims: Readonly<Record<string, unknown>>,
  options: SignJwtOptions = {},
): Promise<string> {
  const own = ownOptions(options)
  const { typ = 'JWT' } = own
  const members = readMembers(claims, [], 'claims')
  if (members === undefined) throw new TypeError('"claims" must be an object')
  return sign(source, () => members, typ, own)
}

/**
 * Signs an assertion of RFC 7523 §3.
 *
 * @param usualTyp - the header's `typ` where the options have none.
 */
export async function signAssertion(
  source: SignerSource,
  issuer: string,
  subject: string,
  usualTyp: string,
  options: JwtOptions,
): Promise<string> {
  const own = ownOptions(options)
  const { audience, typ = usualTyp, lifetimeSeconds = 60, now = Date.now } = own
  requireString(issuer, 'issuer')
  requireString(subject, 'subject')
  requireString(audience, 'audience')
  if (!Number.isInteger(lifetimeSeconds) || lifetimeSeconds < 1 || lifetimeSeconds > 3600) {
    throw new TypeError('"lifetimeSeconds" must be a whole number from 1 to 3600')
  }
  const further = readMembers(own.claims, reservedClaims, 'claims')
  const claims = () => {
    const iat = Math.floor(now() / 1000)
    if (!Number.isSafeInteger(iat))
      throw new TypeError('"now" must return milliseconds as a number')
    return {
      iss: issuer,
      sub: subject,
      aud: audience,
      iat,
      exp: iat + lifetimeSeconds,
      jti: randomId(),
      ...further,
    }
  }
  return await sign(source, claims, typ, own)
}

const randomOctets = Buffer.alloc(16)

/** 128 bits, drawn at each call and not ahead, since a snapshot of the process would copy what was drawn. */
function randomId(): string {
  return randomFillSync(randomOctets).toString('base64url')
}

/** @param claims - called for each signer that is tried: a rotating source may load its key between two of them. */
function sign(
  source: SignerSource,
  claims: () => Readonly<Record<string, unknown>>,
  typ: string,
  { kid, header, signal }: SignJwtOptions,
): Promise<string> {
  requireString(typ, 'typ')
  const further = readMembers(header, reservedHeader, 'header')
  return withSigner(
    source,
    (signer) => {
      const encoded =
        kid === undefined && further === undefined
          ? usualHeader(signer, typ)
          : encodeJson({ alg: signer.alg, kid: keyId(kid, signer), typ, ...further })
      return signCompact(signer, encoded, encodeJson(claims()), signal)
    },
    signal,
  )
}

const usualHeaders = new WeakMap<
  Signer,
  { typ: string; alg: string; kid: string; encoded: string }
>()

/** The encoded header without further members, kept with the signer: it is the same for each assertion. */
function usualHeader(signer: Signer, typ: string): string {
  const { alg, kid } = signer
  const last = usualHeaders.get(signer)
  if (last?.typ === typ && last.alg === alg && last.kid === kid) return last.encoded
  const encoded = encodeJson({ alg, kid, typ })
  usualHeaders.set(signer, { typ, alg, kid, encoded })
  return encoded
}

/** The `kid` to write into a header; `undefined` for none. */
function keyId(kid: SignJwtOptions['kid'], signer: Signer): string | undefined {
  if (kid === undefined) return signer.kid
  if (kid === null) return undefined
  const chosen: unknown = typeof kid === 'function' ? kid(signer.publicJwk) : kid
  requireString(chosen, 'kid')
  return chosen
}
