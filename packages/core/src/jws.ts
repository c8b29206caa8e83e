import { Buffer } from 'node:buffer'
import { ownOptions, requireString } from './options.ts'
import type { PublicJwk } from './public-key.ts'
import { isRotating, requireSigner, type Signer, type SignerSource } from './signer.ts'

/** Options of {@link signJws}. */
export interface SignJwsOptions {
  /** Further protected header members; `alg` and `kid` are the signer's and cannot be replaced. */
  readonly header?: Readonly<Record<string, unknown>> | undefined
  /** Stops waiting; the promise then rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined
}

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

// "b64" and "crit" change how the whole JWS is read, RFC 7515 §4.1.11 and RFC 7797.
const reservedHeader = ['alg', 'kid', 'b64', 'crit']
const reservedJwtHeader = [...reservedHeader, 'typ']

/**
 * Signs a payload as a JWS in compact serialization.
 *
 * @param source - who signs; the header gets its `alg` and `kid`.
 * @param payload - the octets of the payload, or a string that stands for its UTF-8 octets.
 * @param options - further header members, and a signal.
 * @returns `header.payload.signature`, each base64url without padding.
 * @throws {@link SignerError} when the signer cannot sign.
 * @throws `TypeError` when a header member would replace `alg` or `kid`, or is `b64` or `crit`.
 *
 * @example
 * ```ts
 * import { type Signer, signJws } from '@countersign/core'
 *
 * declare const signer: Signer
 *
 * const jws = await signJws(signer, JSON.stringify({ hello: 'world' }), {
 *   header: { typ: 'JWT' },
 * })
 * ```
 *
 * @see [RFC 7515 §7.1](https://www.rfc-editor.org/rfc/rfc7515#section-7.1)
 */
export async function signJws(
  source: SignerSource,
  payload: Uint8Array | string,
  options: SignJwsOptions = {},
): Promise<string> {
  if (typeof payload !== 'string' && !(payload instanceof Uint8Array)) {
    throw new TypeError('"payload" must be a Uint8Array or a string')
  }
  const { header, signal } = ownOptions(options)
  const further = readMembers(header, reservedHeader, 'header')
  const encoded = Buffer.from(payload as string).toString('base64url')
  const sign = (signer: Signer) =>
    signCompact(
      signer,
      encodeJson({ alg: signer.alg, kid: signer.kid, ...further }),
      encoded,
      signal,
    )
  return withSigner(source, sign, signal)
}

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
  return await signClaims(source, () => members, typ, own)
}

/** @param claims - called for each signer that is tried: a rotating source may load its key between two of them. */
export function signClaims(
  source: SignerSource,
  claims: () => Readonly<Record<string, unknown>>,
  typ: string,
  { kid, header, signal }: SignJwtOptions,
): Promise<string> {
  requireString(typ, 'typ')
  const further = readMembers(header, reservedJwtHeader, 'header')
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

/**
 * Runs an action with the signer of a source.
 *
 * A rotating source may run it twice, first with one signer and then with its successor. The action therefore also
 * writes the header, which names the key.
 */
function withSigner<T>(
  source: SignerSource,
  action: (signer: Signer) => Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  return isRotating(source) ? source.use(action, { signal }) : action(requireSigner(source))
}

// Its arrays have memory of their own, where a `Buffer` may be a view into memory that others use.
const encoder = new TextEncoder()

/** Signs a header and a payload that are base64url already. */
async function signCompact(
  signer: Signer,
  header: string,
  payload: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const signingInput = `${header}.${payload}`
  const signature = await signer.sign(encoder.encode(signingInput), signal && { signal })
  return `${signingInput}.${Buffer.from(signature).toString('base64url')}`
}

/**
 * Copies the caller's members of a JSON object.
 *
 * @throws `TypeError` when one of them is reserved, or `members` is not an object of members.
 */
export function readMembers(
  members: Readonly<Record<string, unknown>> | undefined,
  reserved: readonly string[],
  option: string,
): Readonly<Record<string, unknown>> | undefined {
  if (members === undefined) return undefined
  if (typeof members !== 'object' || members === null || Array.isArray(members))
    throw new TypeError(`"${option}" must be an object`)
  // Read once, since a getter or a proxy may answer differently the second time.
  const copy = { ...members }
  for (const name of reserved) {
    if (Object.hasOwn(copy, name)) {
      throw new TypeError(`"${option}.${name}" cannot be set or replaced`)
    }
  }
  return copy
}

/** Writes members as a JSON object, as base64url without padding. */
function encodeJson(members: Readonly<Record<string, unknown>>): string {
  // A function has no JSON form, but one of this name would write the whole object.
  const isHostile = typeof members['toJSON'] === 'function'
  const json = JSON.stringify(isHostile ? { ...members, toJSON: undefined } : members)
  return Buffer.from(json).toString('base64url')
}
