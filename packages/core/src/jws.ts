import { Buffer } from 'node:buffer'
import { jsonMembers } from './json-members.ts'
import type { Signer, SignerSource } from './signer.ts'
import { withSigner } from './signer-source.ts'

/** Options of {@link signJws}. */
export interface SignJwsOptions {
  /** Further protected header members; `alg` and `kid` are the signer's and cannot be replaced. */
  readonly header?: Readonly<Record<string, unknown>> | undefined
  /** Gives up waiting; the promise then rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined
}

// "b64" and "crit" change how the whole JWS is read, RFC 7515 §4.1.11 and RFC 7797.
const reservedHeader: ReadonlySet<string> = new Set(['alg', 'kid', 'b64', 'crit'])

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
  const { header = {}, signal } = options
  const octets = typeof payload === 'string' ? Buffer.from(payload) : Buffer.from(payload)
  const encoded = octets.toString('base64url')
  const sign = async (signer: Signer) => {
    const signingInput = `${encodeHeader(signer, header, reservedHeader)}.${encoded}`
    return compact(signingInput, await signer.sign(Buffer.from(signingInput, 'latin1'), { signal }))
  }
  return withSigner(source, sign, signal)
}

/** The protected header of a signer with the caller's members behind its own, as base64url. */
export function encodeHeader(
  { alg, kid }: Signer,
  members: Readonly<Record<string, unknown>>,
  reserved: ReadonlySet<string>,
  typ?: string,
): string {
  const own = JSON.stringify({ alg, kid, typ }).slice(0, -1)
  return Buffer.from(`${own}${jsonMembers(members, reserved, 'header')}}`).toString('base64url')
}

/** The compact serialization of a signing input and its signature. */
export function compact(signingInput: string, signature: Uint8Array): string {
  const octets = Buffer.isBuffer(signature) ? signature : Buffer.from(signature)
  return `${signingInput}.${octets.toString('base64url')}`
}
