import { fromBER, Integer, Sequence } from 'asn1js'
import { algorithms, type EcdsaAlgorithm } from './algorithm.ts'
import { SignerError } from './error.ts'

/**
 * Turns a DER ECDSA signature (`SEQUENCE { r INTEGER, s INTEGER }`) into the r ‖ s of a JWS.
 *
 * Only the one canonical DER encoding of two positive numbers that fit the curve is read; BER forms,
 * padded or negative numbers, trailing octets and numbers too wide are refused.
 *
 * @param der - the signature as most key services return it.
 * @param alg - the ECDSA algorithm, which gives the width.
 * @returns r ‖ s, each big-endian and left-padded: 64 octets for ES256 and ES256K, 96 for ES384, 132 for ES512.
 * @throws {@link SignerError} `ERR_SIGNER_INTEGRITY` when `der` is not such an encoding.
 * @throws `TypeError` when `der` is not a `Uint8Array` or `alg` is not an ECDSA algorithm.
 *
 * @example
 * ```ts
 * import { derToRaw } from '@countersign/core/der'
 *
 * declare const signatureFromKms: Uint8Array
 *
 * const raw = derToRaw(signatureFromKms, 'ES256')
 * console.log(raw.byteLength) // 64
 * ```
 *
 * @see [RFC 7518 §3.4](https://www.rfc-editor.org/rfc/rfc7518#section-3.4)
 * @see [RFC 3279 §2.2.3](https://www.rfc-editor.org/rfc/rfc3279#section-2.2.3)
 */
export function derToRaw(der: Uint8Array, alg: EcdsaAlgorithm): Uint8Array {
  const width = coordinateWidth(alg)
  if (!(der instanceof Uint8Array)) throw new TypeError('"der" must be a Uint8Array')
  const numbers = readSequence(der)
  const [r, s] = numbers
  if (numbers.length !== 2 || !(r instanceof Integer) || !(s instanceof Integer))
    throw malformed(alg)
  const raw = new Uint8Array(2 * width)
  if (!place(r, raw.subarray(0, width)) || !place(s, raw.subarray(width))) throw malformed(alg)
  // The parser reads BER. What it reads is DER exactly when writing it again gives the same octets.
  if (Buffer.compare(encode(raw, width), der) !== 0) throw malformed(alg)
  return raw
}

/**
 * Turns the r ‖ s of a JWS into the DER ECDSA signature (`SEQUENCE { r INTEGER, s INTEGER }`).
 *
 * @param raw - r ‖ s: 64 octets for ES256 and ES256K, 96 for ES384, 132 for ES512.
 * @param alg - the ECDSA algorithm, which gives the width.
 * @returns the canonical DER encoding.
 * @throws `TypeError` when `raw` is not a `Uint8Array` of exactly that width, or `alg` is not an ECDSA algorithm.
 *
 * @example
 * ```ts
 * import { rawToDer } from '@countersign/core/der'
 *
 * declare const signatureOfJws: Uint8Array
 *
 * const der = rawToDer(signatureOfJws, 'ES256')
 * ```
 *
 * @see [RFC 7518 §3.4](https://www.rfc-editor.org/rfc/rfc7518#section-3.4)
 */
export function rawToDer(raw: Uint8Array, alg: EcdsaAlgorithm): Uint8Array {
  const width = coordinateWidth(alg)
  if (!(raw instanceof Uint8Array) || raw.byteLength !== 2 * width) {
    throw new TypeError(`"raw" must be a Uint8Array of ${2 * width} octets for ${alg}`)
  }
  return encode(raw, width)
}

function coordinateWidth(alg: EcdsaAlgorithm): number {
  const parameters = Object.hasOwn(algorithms, alg) ? algorithms[alg] : undefined
  if (parameters?.kty !== 'EC' || parameters.signatureLength === undefined) {
    throw new TypeError('"alg" must be one of ES256, ES384, ES512 and ES256K')
  }
  return parameters.signatureLength / 2
}

/** The members of the SEQUENCE that all of `der` is, or none. */
function readSequence(der: Uint8Array): Sequence['valueBlock']['value'] {
  try {
    // A SEQUENCE and two INTEGERs are all that there is, which bounds the depth as well.
    const { offset, result } = fromBER(der, { maxNodes: 3 })
    return offset === der.byteLength && result instanceof Sequence ? result.valueBlock.value : []
  } catch {
    // Some types that have no place in a signature make the parser throw.
    return []
  }
}

/** Writes a positive number right-aligned into `target`, or tells that it does not fit. */
function place(number: Integer, target: Uint8Array): boolean {
  const octets = number.valueBlock.valueHexView
  const sign = octets[0]
  if (sign === undefined || sign >= 0x80) return false
  const magnitude = sign === 0 ? octets.subarray(1) : octets
  if (magnitude.byteLength === 0 || magnitude.byteLength > target.byteLength) return false
  target.set(magnitude, target.byteLength - magnitude.byteLength)
  return true
}

function encode(raw: Uint8Array, width: number): Uint8Array {
  const value = [raw.subarray(0, width), raw.subarray(width)].map(
    (coordinate) => new Integer({ valueHex: minimal(coordinate) }),
  )
  return new Uint8Array(new Sequence({ value }).toBER())
}

/** The two's complement octets of an unsigned big-endian number, as few as will do. */
function minimal(coordinate: Uint8Array): Uint8Array {
  let start = 0
  while (start < coordinate.byteLength - 1 && coordinate[start] === 0) start++
  const magnitude = coordinate.subarray(start)
  if ((magnitude[0] ?? 0) < 0x80) return magnitude
  const padded = new Uint8Array(magnitude.byteLength + 1)
  padded.set(magnitude, 1)
  return padded
}

function malformed(alg: EcdsaAlgorithm): SignerError {
  return new SignerError(
    'ERR_SIGNER_INTEGRITY',
    `The signature is not the canonical DER encoding of two positive integers that fit ${alg}`,
  )
}
