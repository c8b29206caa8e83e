import type { SigningAlgorithmSpec } from '@aws-sdk/client-kms'
import type { JwsAlgorithm } from '@countersign/core'
import { refusal } from './errors.ts'

/** For each algorithm: the prefix of the key specs that support it, and its name in KMS; defaults first. */
const table = {
  ES256: { keySpec: 'ECC_NIST_P256', signing: 'ECDSA_SHA_256' },
  ES384: { keySpec: 'ECC_NIST_P384', signing: 'ECDSA_SHA_384' },
  ES512: { keySpec: 'ECC_NIST_P521', signing: 'ECDSA_SHA_512' },
  ES256K: { keySpec: 'ECC_SECG_P256K1', signing: 'ECDSA_SHA_256' },
  RS256: { keySpec: 'RSA_', signing: 'RSASSA_PKCS1_V1_5_SHA_256' },
  RS384: { keySpec: 'RSA_', signing: 'RSASSA_PKCS1_V1_5_SHA_384' },
  RS512: { keySpec: 'RSA_', signing: 'RSASSA_PKCS1_V1_5_SHA_512' },
  PS256: { keySpec: 'RSA_', signing: 'RSASSA_PSS_SHA_256' },
  PS384: { keySpec: 'RSA_', signing: 'RSASSA_PSS_SHA_384' },
  PS512: { keySpec: 'RSA_', signing: 'RSASSA_PSS_SHA_512' },
  EdDSA: { keySpec: 'ECC_NIST_EDWARDS25519', signing: 'ED25519_SHA_512' },
  Ed25519: { keySpec: 'ECC_NIST_EDWARDS25519', signing: 'ED25519_SHA_512' },
  'ML-DSA-44': { keySpec: 'ML_DSA_44', signing: 'ML_DSA_SHAKE_256' },
  'ML-DSA-65': { keySpec: 'ML_DSA_65', signing: 'ML_DSA_SHAKE_256' },
  'ML-DSA-87': { keySpec: 'ML_DSA_87', signing: 'ML_DSA_SHAKE_256' },
} as const satisfies {
  [alg in JwsAlgorithm]: { keySpec: string; signing: SigningAlgorithmSpec }
}

/** What KMS calls an algorithm. */
export function signingAlgorithm(alg: JwsAlgorithm): SigningAlgorithmSpec {
  return table[alg].signing
}

/** What GetPublicKey says about a key's abilities. */
export interface Abilities {
  readonly KeyUsage?: string | undefined
  readonly KeySpec?: string | undefined
  /** Older than `KeySpec`, and all that old clients read. */
  readonly CustomerMasterKeySpec?: string | undefined
  readonly SigningAlgorithms?: readonly string[] | undefined
}

/** The algorithms that a key can be used with, the default first. */
export function algorithmsOf(key: Abilities): JwsAlgorithm[] {
  const { KeyUsage: usage, SigningAlgorithms: offered = [] } = key
  const keySpec = key.KeySpec ?? key.CustomerMasterKeySpec ?? 'no spec'
  const possible = (Object.keys(table) as JwsAlgorithm[]).filter(
    (alg) => keySpec.startsWith(table[alg].keySpec) && offered.includes(table[alg].signing),
  )
  if (usage === 'SIGN_VERIFY' && possible.length > 0) return possible
  throw refusal(
    'ERR_SIGNER_KEY_UNSUPPORTED',
    `A KMS key of ${word(keySpec)} for ${word(usage)} makes no JWS signature; create one for SIGN_VERIFY of ECC_NIST_*, ECC_SECG_P256K1, RSA_* or ML_DSA_*`,
  )
}

function word(value: string | undefined): string {
  return value !== undefined && /^[\w ]{1,40}$/.test(value) ? value : 'unknown'
}
