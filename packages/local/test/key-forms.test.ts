import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import { signJws } from '@countersign/core'
import { type LocalSignerOptions, localSigner } from '@countersign/local'
import { describe, expect, it } from 'vitest'
import { keyPair, oddKeyPair, runnable } from '../../core/test/keys.ts'
import { verifiesWithNode } from '../../core/test/verification.ts'
import { certificate } from './certificate.ts'

const passphrase = 'correct horse battery staple \u{1f40e}'
const cipher = 'aes-256-cbc'

function encrypted(key: KeyObject, format: 'pem' | 'der'): string | Buffer {
  const options = { type: 'pkcs8', cipher, passphrase } as const
  return format === 'pem'
    ? key.export({ ...options, format: 'pem' })
    : key.export({ ...options, format: 'der' })
}

/** Makes the signer, sees it sign, and returns it. */
async function works(options: LocalSignerOptions) {
  const signer = await localSigner(options)
  expect(verifiesWithNode(await signJws(signer, 'payload'), signer.publicJwk)).toBe(true)
  return signer
}

describe('the same key in every form', () => {
  const forms = (key: KeyObject): [string, LocalSignerOptions['key']][] => {
    const der = key.export({ format: 'der', type: 'pkcs8' })
    const pem = String(key.export({ format: 'pem', type: 'pkcs8' }))
    return [
      ['KeyObject', key],
      ['PKCS#8 PEM', pem],
      ['PKCS#8 PEM with CRLF', pem.replaceAll('\n', '\r\n')],
      ['PKCS#8 PEM after a byte order mark and text', `\ufeffBag Attributes\n  x: 1\n${pem}`],
      ['PKCS#8 PEM, octets', Buffer.from(pem)],
      ['PKCS#8 PEM behind the certificate', `${certificate}${pem}`],
      ['PKCS#8 DER, Buffer', der],
      ['PKCS#8 DER, Uint8Array', new Uint8Array(der)],
      ['PKCS#8 DER, view', Buffer.concat([Buffer.alloc(9), der, Buffer.alloc(9)]).subarray(9, -9)],
      ['JWK', key.export({ format: 'jwk' })],
    ]
  }

  it.each(runnable)('makes for %s one and the same signer', async (alg) => {
    const { privateKey } = keyPair(alg)
    const kids = new Set<string>()
    for (const [form, key] of forms(privateKey)) {
      const { kid } = await works({ key, alg }).catch((cause) => {
        throw new Error(form, { cause })
      })
      kids.add(kid)
    }
    expect(kids.size).toBe(1)
  })

  it.each(runnable)('makes for %s one and the same signer when it is encrypted', async (alg) => {
    const { privateKey } = keyPair(alg)
    const { kid } = await works({ key: privateKey, alg })
    for (const format of ['pem', 'der'] as const) {
      const key = encrypted(privateKey, format)
      expect((await works({ key, alg, passphrase })).kid).toBe(kid)
      const octets = Buffer.from(passphrase)
      expect((await works({ key, alg, passphrase: octets })).kid).toBe(kid)
    }
  })
})

describe('the older forms', () => {
  const ec = keyPair('ES256').privateKey
  const rsa = keyPair('RS256').privateKey
  const older: [string, KeyObject, 'sec1' | 'pkcs1'][] = [
    ['SEC1', ec, 'sec1'],
    ['PKCS#1', rsa, 'pkcs1'],
  ]

  it.each(older)('%s is read as PEM and as DER', async (_, key, type) => {
    const { kid } = await works({ key })
    for (const form of [key.export({ format: 'pem', type }), key.export({ format: 'der', type })]) {
      expect((await works({ key: form })).kid).toBe(kid)
    }
  })

  it.each(older)('%s is read as PEM that is encrypted the old way', async (_, key, type) => {
    const pem = String(key.export({ format: 'pem', type, cipher, passphrase }))
    expect(pem).toContain('Proc-Type: 4,ENCRYPTED')
    for (const form of [pem, Buffer.from(pem)]) {
      expect((await works({ key: form, passphrase })).kid).toBe((await works({ key })).kid)
    }
  })

  it('SEC1 is read behind the parameters that "openssl ecparam -genkey" writes', async () => {
    const parameters =
      '-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n'
    const plain = ec.export({ format: 'pem', type: 'sec1' })
    expect((await works({ key: `${parameters}${plain}` })).alg).toBe('ES256')
    const encrypted = ec.export({ format: 'pem', type: 'sec1', cipher, passphrase })
    expect((await works({ key: `${parameters}${encrypted}`, passphrase })).alg).toBe('ES256')
  })

  it('a curve that is written out in numbers is the curve that it is', async () => {
    const { privateKey } = oddKeyPair('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' })
    expect((await works({ key: privateKey })).publicJwk.crv).toBe('P-256')
  })
})

describe('the algorithm', () => {
  it.each([
    ['ES256', 'ES256'],
    ['ES384', 'ES384'],
    ['ES512', 'ES512'],
    ['ES256K', 'ES256K'],
    ['PS512', 'RS256'],
    ['Ed25519', 'EdDSA'],
  ] as const)('of a key for %s is %s unless told otherwise', async (kind, alg) => {
    expect((await works({ key: keyPair(kind).privateKey })).alg).toBe(alg)
  })

  it('is the one that a JWK states', async () => {
    for (const [kind, alg] of [
      ['RS256', 'PS384'],
      ['EdDSA', 'Ed25519'],
    ] as const) {
      const key = { ...keyPair(kind).privateKey.export({ format: 'jwk' }), alg }
      expect((await works({ key })).alg).toBe(alg)
      expect((await works({ key, alg })).alg).toBe(alg)
    }
  })
})

describe('the kid', () => {
  const jwk = { ...keyPair('ES256').privateKey.export({ format: 'jwk' }), kid: 'of the JWK' }

  it('is the one asked for, else that of the JWK, else the thumbprint', async () => {
    expect((await works({ key: jwk, kid: 'asked' })).kid).toBe('asked')
    expect((await works({ key: jwk })).kid).toBe('of the JWK')
    const { kid: _, ...bare } = jwk
    expect((await works({ key: bare })).kid).toMatch(/^[\w-]{43}$/)
  })

  it.each([{ kid: '' }, { kid: 7 }, { kid: ['x'] }])(
    'of a JWK that is %o is a TypeError',
    async ({ kid }) => {
      await expect(localSigner({ key: { ...jwk, kid: kid as string } })).rejects.toThrow(TypeError)
    },
  )
})

it('a passphrase that is not needed does no harm', async () => {
  await works({
    key: keyPair('ES256').privateKey.export({ format: 'pem', type: 'pkcs8' }),
    passphrase,
  })
})

it('the certificate beside the key is not looked at', () => {
  const ofCertificate = new X509Certificate(certificate).publicKey
  expect(ofCertificate.equals(createPublicKey(keyPair('ES256').privateKey))).toBe(false)
})
