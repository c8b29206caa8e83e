import { constants, createHash, createPublicKey, sign, verify } from 'node:crypto'
import { SignerError } from '@countersign/core'
import { rawToDer } from '@countersign/core/der'
import { keyPair, type Parts, signWith } from '../hand-written.ts'
import { but, ed, type Fault, forever, rsa, signing, soon } from './faulty-signer.ts'

// The neutral point, as key and as R with s = 0, satisfies RFC 8032 §5.1.7 for every message.
const neutral = Buffer.alloc(32).fill(1, 0, 1)
const fitsAll = Buffer.concat([neutral, Buffer.alloc(32)])

/** Whether this Node.js verifies under such a key; 24 and later do not, and there no signature fits two messages. */
export const acceptsSmallOrder = verify(
  null,
  Buffer.from('any'),
  createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: neutral.toString('base64url') },
    format: 'jwk',
  }),
  fitsAll,
)

export const signatureFaults: Fault[] = [
  {
    check: 'signs',
    that: 'cannot sign',
    factory: signing('EdDSA', () => () => {
      throw new SignerError('ERR_SIGNER_ACCESS_DENIED', 'no permission')
    }),
  },
  {
    check: 'signs',
    that: 'never settles',
    factory: signing('EdDSA', () => () => forever),
    options: soon,
  },
  {
    check: 'signs',
    that: 'returns the signature without a promise',
    factory: but('EdDSA', () => ({ sign: (input: Uint8Array) => signWith(ed, 'EdDSA', input) })),
  },
  {
    check: 'signs',
    that: 'resolves to base64url',
    factory: signing(
      'EdDSA',
      () => async (good, input) => Buffer.from(await good(input)).toString('base64url'),
    ),
  },
  {
    check: 'signs',
    that: 'resolves to an ArrayBuffer',
    factory: signing(
      'EdDSA',
      () => async (good, input) => new Uint8Array(await good(input)).buffer,
    ),
  },
  {
    check: 'signs',
    that: 'resolves to no octets',
    factory: signing('EdDSA', () => () => new Uint8Array()),
  },
  ...(['ES256', 'ES512'] as const).map(
    (alg): Fault => ({
      check: 'ecdsa-raw',
      that: `returns DER for ${alg}`,
      factory: signing(alg, () => async (good, input) => rawToDer(await good(input), alg)),
    }),
  ),
  ...[
    ['20 octets', 20],
    ['the most that fits', constants.RSA_PSS_SALTLEN_MAX_SIGN],
  ].map(
    ([length, saltLength]): Fault => ({
      check: 'pss-salt-length',
      that: `has a PSS salt of ${length}`,
      factory: signing(
        'PS256',
        () => (_, input) => signWith(rsa, 'PS256', input, Number(saltLength)),
      ),
    }),
  ),
  {
    check: 'signature-verifies',
    that: 'signs with another key than it publishes',
    factory: (() => {
      const another = keyPair('ES256')
      return signing('ES256', () => (_, input) => signWith(another, 'ES256', input))
    })(),
  },
  {
    check: 'signature-verifies',
    that: 'hashes its input twice',
    factory: signing(
      'ES256',
      () => (good, input) => good(createHash('sha256').update(input).digest()),
    ),
  },
  {
    check: 'signature-verifies',
    that: 'hashes with SHA-512 for RS256',
    factory: signing('RS256', () => (_, input) => sign('sha512', input, rsa.privateKey)),
  },
  {
    check: acceptsSmallOrder ? 'signature-binds-input' : 'signature-verifies',
    that: 'has a public key of small order, under which one signature fits all',
    factory: but('EdDSA', ({ publicJwk, sign }) => ({
      publicJwk: { ...publicJwk, x: neutral.toString('base64url') },
      async sign(...call: Parameters<Parts['sign']>) {
        await sign(...call)
        return Buffer.from(fitsAll)
      },
    })),
  },
]
