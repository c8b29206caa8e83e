import type { JwsAlgorithm } from '@countersign/core'

/** The JWS algorithms and the key type of a Cloud KMS algorithm. */
export interface KeyAlgorithm {
  /** JWS algorithms, the default first. */
  readonly algs: readonly JwsAlgorithm[]
  /** Type of the key, and curve or size, as `node:crypto` names them. */
  readonly key: string
}

/**
 * The algorithms of key versions that can make a JWS signature.
 *
 * @see [Key purposes and algorithms](https://cloud.google.com/kms/docs/algorithms)
 */
export const algorithms: ReadonlyMap<string, KeyAlgorithm> = new Map<string, KeyAlgorithm>(
  Object.entries({
    EC_SIGN_P256_SHA256: { algs: ['ES256'], key: 'ec prime256v1' },
    EC_SIGN_P384_SHA384: { algs: ['ES384'], key: 'ec secp384r1' },
    EC_SIGN_SECP256K1_SHA256: { algs: ['ES256K'], key: 'ec secp256k1' },
    EC_SIGN_ED25519: { algs: ['EdDSA', 'Ed25519'], key: 'ed25519' },
    RSA_SIGN_PKCS1_2048_SHA256: { algs: ['RS256'], key: 'rsa 2048' },
    RSA_SIGN_PKCS1_3072_SHA256: { algs: ['RS256'], key: 'rsa 3072' },
    RSA_SIGN_PKCS1_4096_SHA256: { algs: ['RS256'], key: 'rsa 4096' },
    RSA_SIGN_PKCS1_4096_SHA512: { algs: ['RS512'], key: 'rsa 4096' },
    RSA_SIGN_PSS_2048_SHA256: { algs: ['PS256'], key: 'rsa 2048' },
    RSA_SIGN_PSS_3072_SHA256: { algs: ['PS256'], key: 'rsa 3072' },
    RSA_SIGN_PSS_4096_SHA256: { algs: ['PS256'], key: 'rsa 4096' },
    RSA_SIGN_PSS_4096_SHA512: { algs: ['PS512'], key: 'rsa 4096' },
    PQ_SIGN_ML_DSA_44: { algs: ['ML-DSA-44'], key: 'ml-dsa-44' },
    PQ_SIGN_ML_DSA_65: { algs: ['ML-DSA-65'], key: 'ml-dsa-65' },
    PQ_SIGN_ML_DSA_87: { algs: ['ML-DSA-87'], key: 'ml-dsa-87' },
  } as const),
)
