import { webcrypto } from 'node:crypto'
import { inspect } from 'node:util'
import type { Signer } from '@countersign/core'
import { frozen, handWritten } from '../hand-written.ts'
import { but, ec, type Fault, jwk } from './faulty-signer.ts'

function withOneMoreMember(member: PropertyDescriptor): () => Signer {
  return () => {
    const good = handWritten('ES256', ec)
    return frozen(Object.defineProperty(good, 'more', { enumerable: true, ...member }))
  }
}

const privateJwk = ec.privateKey.export({ format: 'jwk' })
const pem = ec.privateKey.export({ format: 'pem', type: 'pkcs8' })
const cryptoKey = await webcrypto.subtle
  .generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify'])
  .then(({ privateKey }) => privateKey)

export const privateMemberFaults: Fault[] = [
  {
    check: 'no-private-members',
    that: 'has "d" in its public JWK',
    factory: jwk('ES256', () => ({ d: privateJwk.d })),
  },
  {
    check: 'no-private-members',
    that: 'has the private JWK in a hidden property',
    factory: withOneMoreMember({ value: { jwk: privateJwk }, enumerable: false }),
  },
  {
    check: 'no-private-members',
    that: 'has a private key as PEM',
    factory: withOneMoreMember({ value: pem }),
  },
  {
    check: 'no-private-members',
    that: 'has a private KeyObject',
    factory: withOneMoreMember({ value: ec.privateKey }),
  },
  {
    check: 'no-private-members',
    that: 'has a private CryptoKey',
    factory: withOneMoreMember({ value: cryptoKey }),
  },
  {
    check: 'no-private-members',
    that: 'shows its private JWK to inspect',
    factory: but('ES256', () => ({ [inspect.custom]: () => privateJwk })),
  },
  {
    check: 'no-private-members',
    that: 'writes its private JWK into JSON',
    factory: but('ES256', () => ({ toJSON: () => ({ key: privateJwk }) })),
  },
]
