import { constants, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import {
  algorithms,
  type JwsAlgorithm,
  type PublicJwk,
  type Signer,
  type SignOptions,
  thumbprint,
} from '@countersign/core'

export interface KeyPair {
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

export function keyPair(alg: JwsAlgorithm, modulusLength = 2048): KeyPair {
  const { kty, crv = 'P-256' } = algorithms[alg]
  if (kty === 'RSA') return generateKeyPairSync('rsa', { modulusLength })
  if (kty === 'OKP') return generateKeyPairSync('ed25519')
  if (kty === 'EC') return generateKeyPairSync('ec', { namedCurve: crv })
  return Reflect.apply(generateKeyPairSync, undefined, [alg.toLowerCase()])
}

/** Signs with `node:crypto`; RSA-PSS with the salt length that is asked for. */
export function signWith(
  { privateKey }: KeyPair,
  alg: JwsAlgorithm,
  input: Uint8Array,
  saltLength: number = constants.RSA_PSS_SALTLEN_DIGEST,
): Uint8Array {
  const { hash, padding } = algorithms[alg]
  const isPss = padding === constants.RSA_PKCS1_PSS_PADDING
  return sign(hash ?? null, input, {
    key: privateKey,
    dsaEncoding: 'ieee-p1363',
    ...(padding === undefined ? {} : { padding }),
    ...(isPss ? { saltLength } : {}),
  })
}

export function publicJwkOf({ publicKey }: KeyPair, alg: JwsAlgorithm): PublicJwk {
  const jwk = { ...publicKey.export({ format: 'jwk' }), alg }
  return { ...jwk, kid: thumbprint(jwk), use: 'sig' } as unknown as PublicJwk
}

/** The four members of a signer, not yet frozen, so that a test can change them. */
export interface Parts {
  alg: JwsAlgorithm
  kid: string
  publicJwk: PublicJwk
  sign(input: Uint8Array, options?: SignOptions): Promise<Uint8Array>
}

/** A signer as a third party might write it without `createSigner`, and without a fault. */
export function handWritten(alg: JwsAlgorithm, pair: KeyPair): Parts {
  const publicJwk = publicJwkOf(pair, alg)
  return {
    alg,
    kid: publicJwk.kid,
    publicJwk,
    async sign(input, options) {
      if (!(input instanceof Uint8Array)) throw new TypeError('"input" must be a Uint8Array')
      options?.signal?.throwIfAborted()
      return signWith(pair, alg, input)
    },
  }
}

export function frozen(parts: Parts): Signer {
  Object.freeze(parts.publicJwk)
  return Object.freeze(parts)
}
