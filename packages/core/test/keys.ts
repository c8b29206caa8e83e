import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { algorithms, type JwsAlgorithm } from '@countersign/core'

export interface Pair {
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

// The type declarations are those of the oldest supported Node.js, which has no ML-DSA.
const generate = generateKeyPairSync as unknown as (type: string, options?: object) => Pair

const curves = {
  'P-256': 'P-256',
  'P-384': 'P-384',
  'P-521': 'P-521',
  secp256k1: 'secp256k1',
} as const

const made = new Map<string, Pair>()

function once(name: string, make: () => Pair): Pair {
  const pair = made.get(name) ?? make()
  made.set(name, pair)
  return pair
}

/** A key pair that fits an algorithm. Two of a kind are there, so that a test can mean "the wrong key". */
export function keyPair(alg: JwsAlgorithm, which: 'own' | 'other' = 'own'): Pair {
  const { kty, crv } = algorithms[alg]
  if (kty === 'EC') {
    const namedCurve = curves[crv as keyof typeof curves]
    return once(`${namedCurve} ${which}`, () => generate('ec', { namedCurve }))
  }
  if (kty === 'RSA') return once(`rsa ${which}`, () => generate('rsa', { modulusLength: 2048 }))
  if (kty === 'OKP') return once(`ed25519 ${which}`, () => generate('ed25519'))
  return once(`${alg} ${which}`, () => generate(alg.toLowerCase()))
}

/** A key pair of any type that Node.js can generate. */
export function oddKeyPair(type: string, options?: object): Pair {
  return once(`${type} ${JSON.stringify(options)}`, () => generate(type, options))
}

export const ecdsaAlgorithms = ['ES256', 'ES384', 'ES512', 'ES256K'] as const

/** Whether the running Node.js has ML-DSA. */
export const mlDsa: boolean = (() => {
  try {
    return generate('ml-dsa-44') !== undefined
  } catch {
    return false
  }
})()

const all = Object.keys(algorithms) as JwsAlgorithm[]

/** Every algorithm that the running Node.js can do. */
export const runnable: readonly JwsAlgorithm[] = mlDsa
  ? all
  : all.filter((alg) => !alg.startsWith('ML-DSA'))
