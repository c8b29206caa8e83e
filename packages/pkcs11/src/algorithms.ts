import type { JwsAlgorithm, SignRequest } from '@countersign/core'

const CK_PARAMS_RSA_PSS = 5

/** A mechanism of PKCS#11 with its parameter. */
export interface Mechanism {
  readonly mechanism: number
  readonly parameter?: {
    readonly type: number
    readonly hashAlg: number
    readonly mgf: number
    readonly saltLen: number
  }
}

/** How a signature is made: the mechanism, and its input. */
export interface SigningMethod {
  readonly mechanism: Mechanism
  readonly input: (request: SignRequest) => Uint8Array
}

const message = (request: SignRequest) => request.message
const digest = (request: SignRequest) => request.digest ?? request.message

/** DigestInfo of RFC 8017 §9.2 up to the digest. */
const digestInfoPrefix = {
  sha256: Buffer.from('3031300d060960864801650304020105000420', 'hex'),
  sha384: Buffer.from('3041300d060960864801650304020205000430', 'hex'),
  sha512: Buffer.from('3051300d060960864801650304020305000440', 'hex'),
}

const digestInfo = (request: SignRequest) =>
  Buffer.concat([digestInfoPrefix[request.hash ?? 'sha256'], digest(request)])

const ecdsa = (hashing: number): readonly SigningMethod[] => [
  { mechanism: { mechanism: 0x1041 }, input: digest },
  { mechanism: { mechanism: hashing }, input: message },
]

const rsa = (hashing: number): readonly SigningMethod[] => [
  { mechanism: { mechanism: hashing }, input: message },
  { mechanism: { mechanism: 0x1 }, input: digestInfo },
]

const pss = (
  hashing: number,
  hashAlg: number,
  mgf: number,
  saltLen: number,
): readonly SigningMethod[] => {
  const parameter = { type: CK_PARAMS_RSA_PSS, hashAlg, mgf, saltLen }
  return [
    { mechanism: { mechanism: hashing, parameter }, input: message },
    { mechanism: { mechanism: 0xd, parameter }, input: digest },
  ]
}

const eddsa: readonly SigningMethod[] = [{ mechanism: { mechanism: 0x1057 }, input: message }]

/** The methods for each algorithm, the preferred one first. Few tokens have all of them. */
const methods: { readonly [alg in JwsAlgorithm]?: readonly SigningMethod[] } = {
  ES256: ecdsa(0x1044),
  ES384: ecdsa(0x1045),
  ES512: ecdsa(0x1046),
  ES256K: ecdsa(0x1044),
  RS256: rsa(0x40),
  RS384: rsa(0x41),
  RS512: rsa(0x42),
  PS256: pss(0x43, 0x250, 2, 32),
  PS384: pss(0x44, 0x260, 3, 48),
  PS512: pss(0x45, 0x270, 4, 64),
  EdDSA: eddsa,
  Ed25519: eddsa,
}

/** The first method that a token with these mechanisms has, or `undefined`. */
export function signingMethod(
  alg: JwsAlgorithm,
  mechanisms: readonly number[],
): SigningMethod | undefined {
  return methods[alg]?.find(({ mechanism }) => mechanisms.includes(mechanism.mechanism))
}

/** The algorithms that a token with these mechanisms has. */
export function possibleAlgorithms(mechanisms: readonly number[]): JwsAlgorithm[] {
  const all = Object.keys(methods) as JwsAlgorithm[]
  return all.filter((alg) => signingMethod(alg, mechanisms) !== undefined)
}
