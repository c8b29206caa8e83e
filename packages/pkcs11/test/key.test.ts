import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { KeyOnToken } from '../src/key.ts'
import { algorithmsOf, keyIdentity, publicKeyOnToken } from '../src/key.ts'

const blank: KeyOnToken = { label: 'a', id: '01', keyType: 3 }

function point(key: KeyObject): Buffer {
  const { x = '', y } = key.export({ format: 'jwk' })
  const octets = [x, y ?? ''].map((coordinate) => Buffer.from(coordinate, 'base64url'))
  return Buffer.concat([...(y === undefined ? [] : [Buffer.of(4)]), ...octets])
}

function wrapped(octets: Buffer): Buffer {
  const { byteLength } = octets
  return Buffer.concat([
    Buffer.from(byteLength < 0x80 ? [4, byteLength] : [4, 0x81, byteLength]),
    octets,
  ])
}

const curves = {
  prime256v1: '06082a8648ce3d030107',
  secp384r1: '06052b81040022',
  secp521r1: '06052b81040023',
  secp256k1: '06052b8104000a',
}

describe.each(Object.entries(curves))('a point on %s', (namedCurve, ecParams) => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve })

  test.each([
    ['bare', point(publicKey)],
    ['in its DER wrapping', wrapped(point(publicKey))],
  ])('is read %s', (_, octets) => {
    const found = publicKeyOnToken({ ...blank, ecParams, ecPoint: octets.toString('hex') })
    expect(found?.equals(publicKey)).toBe(true)
  })

  test.each([
    ['too short', wrapped(point(publicKey)).subarray(0, -1)],
    ['too long', Buffer.concat([wrapped(point(publicKey)), Buffer.of(0)])],
    ['in another wrapping', Buffer.concat([Buffer.of(3), wrapped(point(publicKey)).subarray(1)])],
    [
      'off the curve',
      Buffer.concat([wrapped(point(publicKey)).subarray(0, -4), Buffer.alloc(4, 7)]),
    ],
  ])('is not taken when it is %s', (_, octets) => {
    expect(
      publicKeyOnToken({ ...blank, ecParams, ecPoint: octets.toString('hex') }),
    ).toBeUndefined()
  })
})

describe('an Ed25519 key', () => {
  const { publicKey } = generateKeyPairSync('ed25519')

  test.each([
    ['its OID', '06032b6570'],
    ['its name', '130c656477617264733235353139'],
  ])('is known by %s, its point bare or wrapped', (_, ecParams) => {
    for (const octets of [point(publicKey), wrapped(point(publicKey))]) {
      const key = { ...blank, keyType: 0x40, ecParams, ecPoint: octets.toString('hex') }
      expect(publicKeyOnToken(key)?.equals(publicKey)).toBe(true)
      expect(algorithmsOf(key)).toEqual(['EdDSA', 'Ed25519'])
    }
  })
})

describe('an RSA key', () => {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const { n = '', e = '' } = publicKey.export({ format: 'jwk' })
  const modulus = Buffer.from(n, 'base64url').toString('hex')
  const publicExponent = Buffer.from(e, 'base64url').toString('hex')

  test('is read with and without leading zeros', () => {
    for (const zeros of ['', '00', '0000']) {
      const found = publicKeyOnToken({
        ...blank,
        keyType: 0,
        modulus: zeros + modulus,
        publicExponent: zeros + publicExponent,
      })
      expect(found?.equals(publicKey)).toBe(true)
    }
  })

  test('of which only half is known is not taken', () => {
    expect(publicKeyOnToken({ ...blank, keyType: 0, modulus })).toBeUndefined()
    expect(publicKeyOnToken({ ...blank, keyType: 0, publicExponent })).toBeUndefined()
  })
})

test('a key that makes no JWS signature is refused with what would', () => {
  for (const key of [
    { ...blank, keyType: 0x1f },
    { ...blank, keyType: 3, ecParams: '06092b2403030208010107' },
    { ...blank, keyType: -1 },
  ]) {
    expect(() => algorithmsOf(key)).toThrowError(
      expect.objectContaining({ code: 'ERR_SIGNER_KEY_UNSUPPORTED' }),
    )
  }
})

describe('the identity of a key', () => {
  const ecParams = curves.prime256v1
  const key = (publicKey: KeyObject): KeyOnToken => ({
    ...blank,
    ecParams,
    ecPoint: point(publicKey).toString('hex'),
  })
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })

  test('is that of its public half, however that is written and whatever it is called', () => {
    const renamed = { ...key(publicKey), label: 'b', id: '02' }
    const wrap = { ...key(publicKey), ecPoint: wrapped(point(publicKey)).toString('hex') }
    expect(keyIdentity(renamed)).toBe(keyIdentity(key(publicKey)))
    expect(keyIdentity(wrap)).toBe(keyIdentity(key(publicKey)))
  })

  test('is another for another public half', () => {
    const other = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).publicKey
    expect(keyIdentity(key(other))).not.toBe(keyIdentity(key(publicKey)))
  })

  test('is that of its name where the token has no public half', () => {
    const named = { ...blank, ecParams }
    expect(keyIdentity(named)).toBe(keyIdentity({ ...named }))
    expect(keyIdentity(named)).not.toBe(keyIdentity({ ...named, id: '02' }))
    expect(keyIdentity(named)).not.toBe(keyIdentity(key(publicKey)))
  })
})
