import { SignerError } from '@countersign/core'
import { but, type Fault, signing, unsupported } from './faulty-signer.ts'

export const inputFaults: Fault[] = [
  {
    check: 'input-view',
    that: 'signs all the memory that its input is a view of',
    factory: signing('ES256', () => (good, input) => good(new Uint8Array(input.buffer))),
  },
  {
    check: 'input-unchanged',
    that: 'wipes its input',
    factory: signing('ES256', () => async (good, input) => {
      const signature = await good(input)
      input.fill(0)
      return signature
    }),
  },
  {
    check: 'empty-input',
    that: 'refuses to hash nothing',
    factory: signing('ES256', () => (good, input) => {
      if (input.byteLength === 0) throw unsupported()
      return good(input)
    }),
  },
  {
    check: 'empty-input',
    that: 'signs something else in place of nothing',
    factory: signing(
      'EdDSA',
      () => (good, input) => good(input.byteLength > 0 ? input : Buffer.alloc(1)),
    ),
  },
  {
    check: 'large-input',
    that: 'has a limit although it could send a digest',
    factory: signing('RS256', () => (good, input) => {
      if (input.byteLength > 4096) throw unsupported()
      return good(input)
    }),
  },
  {
    check: 'large-input',
    that: 'has a limit and names it wrongly',
    factory: signing('EdDSA', () => (good, input) => {
      if (input.byteLength > 4096) throw new SignerError('ERR_SIGNER_BACKEND', 'too long')
      return good(input)
    }),
  },
  {
    check: 'large-input',
    that: 'cuts its input off',
    factory: signing('EdDSA', () => (good, input) => good(input.subarray(0, 4096))),
  },
  {
    check: 'failure-is-signer-error',
    that: 'has a limit and refuses with a plain error',
    factory: signing('EdDSA', () => (good, input) => {
      if (input.byteLength > 4096) throw new Error('too long')
      return good(input)
    }),
  },
  {
    check: 'misuse-is-type-error',
    that: 'signs a string',
    factory: but('ES256', ({ sign }) => ({
      async sign(input: Uint8Array | string, options: object) {
        return sign(typeof input === 'string' ? Buffer.from(input) : input, options)
      },
    })),
  },
  {
    check: 'misuse-is-type-error',
    that: 'refuses a string with a SignerError',
    factory: but('ES256', ({ sign }) => ({
      async sign(input: Uint8Array | string, options: object) {
        if (typeof input === 'string') throw unsupported()
        return sign(input, options)
      },
    })),
  },
  {
    check: 'misuse-is-type-error',
    that: 'throws a TypeError instead of rejecting',
    factory: but('ES256', ({ sign }) => ({
      sign(input: Uint8Array, options: object) {
        if (!(input instanceof Uint8Array)) throw new TypeError('"input" must be a Uint8Array')
        return sign(input, options)
      },
    })),
  },
  {
    check: 'jws-verifies',
    that: 'signs no token but a JWT',
    factory: signing('ES256', () => (good, input) => {
      if (isToken(input) && !isJwt(input)) throw unsupported()
      return good(input)
    }),
  },
  {
    check: 'client-assertion-verifies',
    that: 'refuses the type of a client assertion',
    factory: signing('ES256', () => (good, input) => {
      if (isAssertion(input)) throw unsupported()
      return good(input)
    }),
  },
]

const parts = (input: Uint8Array) =>
  Buffer.from(input)
    .toString()
    .split('.')
    .map((part) => Buffer.from(part, 'base64url').toString())
const isToken = (input: Uint8Array) => parts(input)[0]?.startsWith('{"alg"')
const isJwt = (input: Uint8Array) => parts(input)[1]?.startsWith('{')
const isAssertion = (input: Uint8Array) => parts(input)[0]?.includes('client-authentication+jwt')
