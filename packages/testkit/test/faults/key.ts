import { frozen, handWritten, type KeyPair, keyPair, publicJwkOf } from '../hand-written.ts'
import { but, type Fault, jwk } from './faulty-signer.ts'

function octetsOf(base64url = ''): Buffer {
  return Buffer.from(base64url, 'base64url')
}

function pairWithShortCoordinate(): KeyPair {
  for (;;) {
    const pair = keyPair('ES256')
    if (octetsOf(publicJwkOf(pair, 'ES256').x)[0] === 0) return pair
  }
}

export const keyFaults: Fault[] = [
  {
    check: 'kid-non-empty',
    that: 'has an empty kid',
    factory: but('EdDSA', ({ publicJwk }) => ({ kid: '', publicJwk: { ...publicJwk, kid: '' } })),
  },
  {
    check: 'alg-known',
    that: 'says its algorithm is an HMAC',
    factory: but('EdDSA', ({ publicJwk }) => ({
      alg: 'HS256',
      publicJwk: { ...publicJwk, alg: 'HS256' },
    })),
  },
  {
    check: 'public-key-usable',
    that: 'has a point that is not on the curve',
    factory: jwk('ES256', ({ x }) => ({ y: x })),
  },
  {
    check: 'public-key-usable',
    that: 'has half a point',
    factory: jwk('ES256', () => ({ y: undefined })),
  },
  {
    check: 'public-key-usable',
    that: 'has an RSA key of 1024 bits',
    factory: (() => {
      const small = keyPair('RS256', 1024)
      return () => frozen(handWritten('RS256', small))
    })(),
  },
  ...(['use', 'alg', 'kid'] as const).map(
    (member): Fault => ({
      check: 'public-jwk-agrees',
      that: `has a public JWK without "${member}"`,
      factory: jwk('ES256', () => ({ [member]: undefined })),
    }),
  ),
  {
    check: 'public-jwk-agrees',
    that: 'says ES256 over a key of P-384',
    factory: (() => {
      const { publicJwk } = handWritten('ES384', keyPair('ES384'))
      return jwk('ES256', ({ kid }) => ({ ...publicJwk, alg: 'ES256', kid }))
    })(),
  },
  {
    check: 'public-jwk-canonical',
    that: 'pads base64url',
    factory: jwk('ES256', ({ x }) => ({ x: `${x}=` })),
  },
  {
    check: 'public-jwk-canonical',
    that: 'has a modulus with a leading zero octet',
    factory: jwk('RS256', ({ n }) => ({
      n: Buffer.concat([Buffer.alloc(1), octetsOf(n)]).toString('base64url'),
    })),
  },
  {
    check: 'public-jwk-canonical',
    that: 'has a coordinate that is one octet short',
    factory: (() => {
      const pair = pairWithShortCoordinate()
      return () => {
        const parts = handWritten('ES256', pair)
        const x = octetsOf(parts.publicJwk.x).subarray(1).toString('base64url')
        return frozen({ ...parts, publicJwk: { ...parts.publicJwk, x } })
      }
    })(),
  },
]
