import { constants, createHash, verify } from 'node:crypto'
import { expect, test } from 'vitest'
import { ecdsa, type Hash, rsaPkcs1, rsaPss } from './digest-signature.js'
import { type KeyKind, keyPair } from './key-pairs.js'

const message = Buffer.from('a message')
const hashes: readonly Hash[] = ['sha256', 'sha384', 'sha512']
const digestOf = (hash: Hash) => createHash(hash).update(message).digest()

test.each<[KeyKind, Hash]>([
  ['P-256', 'sha256'],
  ['P-384', 'sha384'],
  ['P-521', 'sha512'],
  ['secp256k1', 'sha256'],
])(
  'node:crypto verifies an ECDSA signature over a digest on %s against the message',
  (kind, hash) => {
    const { privateKey, publicKey } = keyPair(kind)
    const other = keyPair(kind, 1).publicKey
    const der = ecdsa(privateKey, digestOf(hash), 'der')
    const raw = ecdsa(privateKey, digestOf(hash), 'raw')
    expect(verify(hash, message, publicKey, der)).toBe(true)
    expect(verify(hash, message, other, der)).toBe(false)
    expect(verify(hash, message, { key: publicKey, dsaEncoding: 'ieee-p1363' }, raw)).toBe(true)
  },
)

test.each(
  (['RSA-2048', 'RSA-3072', 'RSA-4096'] as const).flatMap((kind) =>
    hashes.map((hash) => [kind, hash] as const),
  ),
)(
  'RSA over a digest with %s and %s is what node:crypto verifies over the message',
  (kind, hash) => {
    const { privateKey: key, publicKey } = keyPair(kind)
    const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: digestOf(hash).byteLength }
    expect(verify(hash, message, publicKey, rsaPkcs1(key, digestOf(hash), hash))).toBe(true)
    const signature = rsaPss(key, digestOf(hash), hash)
    expect(verify(hash, message, { key: publicKey, ...pss }, signature)).toBe(true)
    expect(verify(hash, message, { key: keyPair(kind, 1).publicKey, ...pss }, signature)).toBe(
      false,
    )
  },
)
