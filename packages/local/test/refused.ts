import { createPublicKey, createSecretKey, X509Certificate } from 'node:crypto'
import type { SignerErrorCode } from '@countersign/core'
import type { LocalSignerOptions } from '@countersign/local'
import { keyPair, oddKeyPair } from '../../core/test/keys.ts'
import { certificate } from './certificate.ts'

export interface Refused {
  readonly name: string
  readonly options: LocalSignerOptions
  /** `TypeError` for misuse by the programmer. */
  readonly code: SignerErrorCode | 'TypeError'
  readonly says: RegExp
}

const ec = keyPair('ES256').privateKey
const rsa = keyPair('RS256').privateKey
const ed = keyPair('EdDSA').privateKey
const small = oddKeyPair('rsa', { modulusLength: 1024 }).privateKey
const jwk = ec.export({ format: 'jwk' })
const pem = String(ec.export({ format: 'pem', type: 'pkcs8' }))
const passphrase = 'CANARY-passphrase'
const wrong = 'CANARY-wrong-passphrase'
const secured = { cipher: 'aes-128-cbc', passphrase }
const encryptedPem = ec.export({ format: 'pem', type: 'pkcs8', ...secured })
const encryptedDer = ec.export({ format: 'der', type: 'pkcs8', ...secured })
const legacyPem = ec.export({ format: 'pem', type: 'sec1', ...secured })
const legacyRsa = rsa.export({ format: 'pem', type: 'pkcs1', ...secured })
const publicPem = createPublicKey(ec).export({ format: 'pem', type: 'spki' })
const block = (label: string, body: string) =>
  `-----BEGIN ${label}-----\n${body}\n-----END ${label}-----\n`
const canary = 'CANARYCANARYCANARYCANARYCANARYCANARYCANARYCANARYCANARYCANARYCANA'
const any = (value: unknown) => value as LocalSignerOptions

const row = (
  name: string,
  options: LocalSignerOptions,
  code: Refused['code'],
  says: RegExp,
): Refused => ({ name, options, code, says })

const unsupported = (name: string, key: unknown, says: RegExp, more: object = {}) =>
  row(name, any({ key, ...more }), 'ERR_SIGNER_KEY_UNSUPPORTED', says)

const publicOnes = [
  unsupported('public PEM', publicPem, /public key.*private/),
  unsupported('public PEM, octets', Buffer.from(publicPem), /public key.*private/),
  unsupported(
    'public PKCS#1 PEM',
    createPublicKey(rsa).export({ format: 'pem', type: 'pkcs1' }),
    /public key/,
  ),
  unsupported(
    'public DER',
    createPublicKey(ec).export({ format: 'der', type: 'spki' }),
    /public key/,
  ),
  unsupported('public KeyObject', createPublicKey(ec), /public key/),
  unsupported('public JWK', createPublicKey(ec).export({ format: 'jwk' }), /public key/),
  unsupported('certificate', certificate, /public key/),
  unsupported('certificate, DER', new X509Certificate(certificate).raw, /public key/),
]

const secrets = [
  unsupported('secret JWK', { kty: 'oct', k: 'CANARYk' }, /symmetric secret/),
  unsupported('secret KeyObject', createSecretKey(Buffer.from(canary)), /symmetric secret/),
]

const denied = [
  ['encrypted PEM', encryptedPem],
  ['encrypted PEM, octets', Buffer.from(encryptedPem)],
  ['encrypted DER', encryptedDer],
  ['PEM encrypted the old way', legacyPem],
  ['PKCS#1 encrypted the old way', legacyRsa],
].flatMap(([name, key]) => [
  row(
    `${name}, no passphrase`,
    any({ key }),
    'ERR_SIGNER_ACCESS_DENIED',
    /encrypted; give its "passphrase"/,
  ),
  ...[wrong, '', Buffer.from(wrong)].map((given) =>
    row(
      `${name}, wrong passphrase of ${typeof given} ${given.length}`,
      any({ key, passphrase: given }),
      'ERR_SIGNER_ACCESS_DENIED',
      /cannot be decrypted; check its "passphrase"/,
    ),
  ),
])

const unknownKinds = [
  unsupported(
    'P-224',
    oddKeyPair('ec', { namedCurve: 'P-224' }).privateKey,
    /secp224r1.*P-256, P-384/,
  ),
  unsupported(
    'brainpool',
    oddKeyPair('ec', { namedCurve: 'brainpoolP256r1' }).privateKey,
    /brainpoolP256r1/,
  ),
  ...['ed448', 'x25519', 'x448'].map((type) =>
    unsupported(type, oddKeyPair(type).privateKey, new RegExp(`type ${type}.*Ed25519`)),
  ),
  unsupported('DSA', oddKeyPair('dsa', { modulusLength: 2048 }).privateKey, /type dsa/),
  unsupported('DH', oddKeyPair('dh', { group: 'modp14' }).privateKey, /type dh/),
  unsupported(
    'RSA-PSS',
    oddKeyPair('rsa-pss', { modulusLength: 2048 }).privateKey,
    /ordinary RSA key/,
  ),
  unsupported('small RSA', small, /1024 bits.*2048/),
  unsupported('small RSA for PS256', small.export({ format: 'jwk' }), /1024 bits/, {
    alg: 'PS256',
  }),
]

const garbage = [
  unsupported('no text', '', /no PEM block/),
  unsupported('text', canary, /no PEM block/),
  unsupported('JSON of a JWK', JSON.stringify(jwk), /no PEM block.*private JWK/),
  unsupported('PEM without end', pem.replace(/-----END[\s\S]*/, ''), /has no end/),
  unsupported('PEM without line breaks', pem.replaceAll('\n', '\\n'), /damaged/),
  unsupported('PEM with a damaged body', block('PRIVATE KEY', canary), /damaged/),
  unsupported('PEM that is cut short', block('PRIVATE KEY', pem.split('\n')[1] ?? ''), /damaged/),
  unsupported(
    'PEM of SEC1 under the wrong label',
    block('RSA PRIVATE KEY', pem.split('\n')[1] ?? ''),
    /damaged/,
  ),
  unsupported('two private keys', `${pem}${pem}`, /more than one/),
  unsupported('OpenSSH key', block('OPENSSH PRIVATE KEY', canary), /"OPENSSH PRIVATE KEY".*PKCS#8/),
  unsupported('certificate request', block('CERTIFICATE REQUEST', canary), /"CERTIFICATE REQUEST"/),
  unsupported('no octets', new Uint8Array(0), /not a PKCS#8, SEC1 or PKCS#1/),
  unsupported('octets', Buffer.from(canary), /not a PKCS#8, SEC1 or PKCS#1/),
  unsupported(
    'DER that is cut short',
    ec.export({ format: 'der', type: 'pkcs8' }).subarray(0, -9),
    /not a PKCS#8/,
  ),
]

const jwks = [
  unsupported('JWK for encryption', { ...jwk, use: 'enc' }, /"use" is not "sig"/),
  unsupported(
    'JWK for other operations',
    { ...jwk, key_ops: ['deriveBits'] },
    /"sign" among its "key_ops"/,
  ),
  unsupported('JWK of an unknown curve', { ...jwk, crv: 'P-256K' }, /damaged, or of a kind/),
  unsupported('JWK of an unknown type', { ...jwk, kty: 'CANARYkty' }, /damaged, or of a kind/),
  unsupported('JWK off the curve', { ...jwk, x: jwk.y, y: jwk.x }, /damaged, or of a kind/),
  unsupported(
    'RSA JWK without primes',
    pick(rsa.export({ format: 'jwk' }), ['kty', 'n', 'e', 'd']),
    /"p", "q"/,
  ),
]

const config = [
  row('ES256 of RSA', { key: rsa, alg: 'ES256' }, 'ERR_SIGNER_CONFIG', /ES256 needs.*P-256.*RSA/),
  row('RS256 of EC', { key: ec, alg: 'RS256' }, 'ERR_SIGNER_CONFIG', /RS256 needs.*RSA.*P-256/),
  row(
    'ES384 of P-256',
    { key: ec, alg: 'ES384' },
    'ERR_SIGNER_CONFIG',
    /ES384 needs.*P-384.*P-256/,
  ),
  row(
    'ES256 of Ed25519',
    { key: ed, alg: 'ES256' },
    'ERR_SIGNER_CONFIG',
    /ES256 needs.*P-256.*Ed25519/,
  ),
  row('none', any({ key: ec, alg: 'none' }), 'ERR_SIGNER_CONFIG', /"none" is not one.*ES256/),
  row('HS256', any({ key: ec, alg: 'HS256' }), 'ERR_SIGNER_CONFIG', /"HS256" is not one/),
  row(
    'HS256 of a JWK',
    any({ key: { ...jwk, alg: 'HS256' } }),
    'ERR_SIGNER_CONFIG',
    /"HS256" is not one/,
  ),
  row(
    'ECDH-ES of a JWK',
    any({ key: { ...jwk, alg: 'ECDH-ES+A128KW' } }),
    'ERR_SIGNER_CONFIG',
    /"ECDH-ES\+A128KW"/,
  ),
  row(
    'a key for alg',
    any({ key: ec, alg: pem }),
    'ERR_SIGNER_CONFIG',
    /algorithm given is not one/,
  ),
  row(
    'a key for the alg of a JWK',
    { key: { ...jwk, alg: pem } },
    'ERR_SIGNER_CONFIG',
    /algorithm given/,
  ),
  row(
    'another than the JWK states',
    { key: { ...jwk, alg: 'ES256' }, alg: 'ES384' },
    'ERR_SIGNER_CONFIG',
    /is for the algorithm "ES256", but "ES384"/,
  ),
]

const misuse = [
  ...[
    undefined,
    null,
    7,
    true,
    {},
    [],
    { keys: [jwk] },
    new ArrayBuffer(8),
    { publicKey: 1, privateKey: ec },
  ].map((key, index) =>
    row(`no key at all, ${index}`, any({ key }), 'TypeError', /"key" must be PEM, DER/),
  ),
  row(
    'passphrase',
    any({ key: encryptedPem, passphrase: 1234 }),
    'TypeError',
    /"passphrase" must be/,
  ),
  row(
    'passphrase for a plain key',
    any({ key: ec, passphrase: { pin: 'CANARY' } }),
    'TypeError',
    /"passphrase"/,
  ),
  row('alg', any({ key: ec, alg: 256 }), 'TypeError', /"alg"/),
  row('kid', any({ key: ec, kid: '' }), 'TypeError', /"kid"/),
]

/** Every way in which a local key is refused. */
export const refused: readonly Refused[] = [
  ...publicOnes,
  ...secrets,
  ...denied,
  ...unknownKinds,
  ...garbage,
  ...jwks,
  ...config,
  ...misuse,
]

function pick(from: object, members: readonly string[]): object {
  return Object.fromEntries(Object.entries(from).filter(([member]) => members.includes(member)))
}
