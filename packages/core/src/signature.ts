import { type KeyObject, verify } from 'node:crypto'
import { algorithms, type EcdsaAlgorithm, type JwsAlgorithm } from './algorithm.ts'
import { SignerError } from './error.ts'

/** What is checked of each signature of one key. */
export interface SignatureRules {
  /** Name of the backend, for errors. */
  readonly backend: string
  readonly alg: JwsAlgorithm
  readonly key: KeyObject
  /** How the backend returns an ECDSA signature. */
  readonly format: 'raw' | 'der'
  /** Whether each signature is verified with the public key. */
  readonly verify: boolean
}

/**
 * Makes the function that turns a backend's answer into the signature to return: it converts DER to r ‖ s, checks the
 * width, and verifies the signature.
 */
export function signatureCheck(
  rules: SignatureRules,
): (signingInput: Uint8Array, answer: unknown) => Uint8Array | Promise<Uint8Array> {
  const { backend, alg, key } = rules
  const length = signatureLength(alg, key)
  const refuse = (why: string) =>
    new SignerError('ERR_SIGNER_INTEGRITY', `${backend} returned ${why}; it was not used`, {
      backend,
    })

  function copyOctets(answer: unknown): Uint8Array {
    // A copy, so that a backend cannot change it after the check, and no caller gets a view into a larger buffer.
    if (answer instanceof Uint8Array && answer.byteLength > 0) return new Uint8Array(answer)
    throw refuse('no signature')
  }

  function check(signingInput: Uint8Array, signature: Uint8Array): Uint8Array {
    if (signature.byteLength !== length) {
      throw refuse(`a signature of ${signature.byteLength} octets where ${alg} has ${length}`)
    }
    if (rules.verify && !verifySignature(alg, key, signingInput, signature)) {
      throw refuse('a signature that does not verify with the public key of this signer')
    }
    return signature
  }

  if (rules.format !== 'der' || algorithms[alg].kty !== 'EC') {
    return (signingInput, answer) => check(signingInput, copyOctets(answer))
  }
  // Loaded on demand, so that signers without DER never load an ASN.1 parser.
  const der = import('./der.ts')
  der.catch(() => {})
  return async (signingInput, answer) => {
    const { derToRaw } = await der
    const octets = copyOctets(answer)
    let raw: Uint8Array
    try {
      raw = derToRaw(octets, alg as EcdsaAlgorithm)
    } catch {
      throw refuse('a signature that is not canonical DER')
    }
    return check(signingInput, raw)
  }
}

/** Length in octets that a signature by this key and algorithm must have. */
function signatureLength(alg: JwsAlgorithm, key: KeyObject): number {
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0
  return algorithms[alg].signatureLength ?? Math.ceil(bits / 8)
}

function verifySignature(
  alg: JwsAlgorithm,
  key: KeyObject,
  signingInput: Uint8Array,
  signature: Uint8Array,
): boolean {
  const { hash, padding, saltLength } = algorithms[alg]
  return verify(
    hash ?? null,
    signingInput,
    {
      key,
      dsaEncoding: 'ieee-p1363',
      ...(padding === undefined ? {} : { padding }),
      ...(saltLength === undefined ? {} : { saltLength }),
    },
    signature,
  )
}
