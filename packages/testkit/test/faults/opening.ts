import { SignerError } from '@countersign/core'
import { frozen, handWritten, keyPair } from '../hand-written.ts'
import { but, ed, type Fault, forever, soon, unsupported } from './faulty-signer.ts'

export const openingFaults: Fault[] = [
  {
    check: 'factory',
    that: 'cannot be opened, for its factory throws',
    factory() {
      throw new SignerError('ERR_SIGNER_CONFIG', 'no key')
    },
  },
  { check: 'factory', that: 'is never opened', factory: () => forever, options: soon },
  {
    check: 'factory',
    that: 'can be opened only once',
    factory: (() => {
      const signers = [frozen(handWritten('EdDSA', ed))]
      return async () => signers.pop() ?? Promise.reject(unsupported())
    })(),
  },
  { check: 'signer-shape', that: 'is undefined', factory: () => undefined },
  {
    check: 'signer-shape',
    that: 'has no public JWK',
    factory: () => Object.freeze({ ...handWritten('EdDSA', ed), publicJwk: null }),
  },
  {
    check: 'signer-shape',
    that: 'has no sign function',
    factory: but('EdDSA', () => ({ sign: 'sign' })),
  },
  {
    check: 'signer-shape',
    that: 'throws when its alg is read',
    factory: () =>
      Object.freeze({
        get alg() {
          throw new Error('not loaded')
        },
      }),
  },
  {
    check: 'signer-frozen',
    that: 'can be given another kid',
    factory: () => {
      const parts = handWritten('EdDSA', ed)
      Object.freeze(parts.publicJwk)
      return parts
    },
  },
  {
    check: 'signer-frozen',
    that: 'can be given another key in its JWK',
    factory: () => Object.freeze(handWritten('EdDSA', ed)),
  },
  {
    check: 'stable-identity',
    that: 'has a new key each time it is opened',
    factory: () => frozen(handWritten('EdDSA', keyPair('EdDSA'))),
  },
  {
    check: 'stable-identity',
    that: 'has a new kid each time it is opened',
    factory: () => {
      const parts = handWritten('EdDSA', ed)
      const kid = crypto.randomUUID()
      return frozen({ ...parts, kid, publicJwk: { ...parts.publicJwk, kid } })
    },
  },
  {
    check: 'stable-identity',
    that: 'signs with another key when it is opened again, under the same JWK',
    factory: (() => {
      const signers = [keyPair('EdDSA'), ed].map(({ privateKey }) =>
        frozen(handWritten('EdDSA', { privateKey, publicKey: ed.publicKey })),
      )
      return () => signers.pop()
    })(),
  },
  {
    check: 'disposal',
    that: 'fails to close',
    factory: but('EdDSA', () => ({
      [Symbol.asyncDispose]: () => Promise.reject(new Error('busy')),
    })),
  },
  {
    check: 'disposal',
    that: 'never closes',
    factory: but('EdDSA', () => ({ [Symbol.asyncDispose]: () => forever })),
    options: soon,
  },
]
