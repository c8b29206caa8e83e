import {
  createSigner,
  type SignerBackend,
  SignerError,
  type SignerFailure,
} from '@countersign/core'
import { describe, expect, it } from 'vitest'
import { backend } from './backend.ts'
import { refusal } from './outcome.ts'

const input = Buffer.from('input')

/** A signer whose backend fails with a value, in each of the ways that a backend can fail. */
function failing(value: unknown, describeError?: SignerBackend['describeError']) {
  const ways: SignerBackend['sign'][] = [
    () => Promise.reject(value),
    () => {
      throw value
    },
    () => new Promise((_, reject) => setTimeout(reject, 1, value)),
  ]
  return ways.map((sign) =>
    createSigner(backend('ES256', { sign, ...(describeError && { describeError }) })),
  )
}

const throttled: SignerFailure = {
  code: 'ERR_SIGNER_THROTTLED',
  message: 'the vault is busy; try again later',
}

describe('an error of a vendor', () => {
  it("becomes what the backend says it is, with the vendor's own as cause", async () => {
    const vendors = Object.assign(new Error('Rate exceeded'), { name: 'ThrottlingException' })
    const seen: unknown[] = []
    const describeError = (error: unknown) => {
      seen.push(error)
      return throttled
    }
    for (const signer of failing(vendors, describeError)) {
      const error = await refusal(() => signer.sign(input))
      expect(error).toMatchObject({ ...throttled, retryable: true, backend: 'test-vault' })
      expect(error.cause).toBe(vendors)
    }
    expect(seen).toEqual([vendors, vendors, vendors])
  })

  it('may be called retryable or not against the habit of its code', async () => {
    for (const retryable of [true, false]) {
      for (const code of ['ERR_SIGNER_THROTTLED', 'ERR_SIGNER_BACKEND'] as const) {
        const describeError = () => ({ code, message: 'so', retryable })
        for (const signer of failing(new Error(), describeError)) {
          expect(await refusal(() => signer.sign(input))).toMatchObject({ code, retryable })
        }
      }
    }
  })

  it.each<[string, SignerBackend['describeError']]>([
    ['has no name for it', () => undefined],
    ['names none', undefined],
    [
      'fails over it',
      () => {
        throw new TypeError('cannot read properties of undefined')
      },
    ],
  ])('is ERR_SIGNER_BACKEND when the backend %s', async (_, describeError) => {
    const vendors = new Error('<html>502 Bad Gateway</html>')
    for (const signer of failing(vendors, describeError)) {
      const error = await refusal(() => signer.sign(input))
      expect(error).toMatchObject({ code: 'ERR_SIGNER_BACKEND', retryable: false })
      expect(error.cause).toBe(vendors)
      expect(error.message).not.toContain('502')
    }
  })

  it.each([['a string'], [404], [null], [{ statusCode: 500 }], [Symbol('gone')]])(
    'need not be an Error: %o',
    async (value) => {
      for (const signer of failing(value)) {
        const error = await refusal(() => signer.sign(input))
        expect(error.code).toBe('ERR_SIGNER_BACKEND')
        expect(error.cause).toBe(value)
      }
    },
  )

  it('may be undefined, and the call fails all the same', async () => {
    for (const signer of failing(undefined)) {
      expect((await refusal(() => signer.sign(input))).code).toBe('ERR_SIGNER_BACKEND')
    }
  })

  it('stays as it is when it is a SignerError already', async () => {
    const own = new SignerError('ERR_SIGNER_KEY_DISABLED', 'the key is disabled', {
      backend: 'test-vault',
    })
    for (const signer of failing(own, () => throttled)) {
      expect(await refusal(() => signer.sign(input))).toBe(own)
    }
  })
})

describe('SignerError', () => {
  it('says by its code whether trying again may help', () => {
    const retryable = (code: SignerError['code']) => new SignerError(code, '').retryable
    expect(retryable('ERR_SIGNER_THROTTLED')).toBe(true)
    expect(retryable('ERR_SIGNER_UNAVAILABLE')).toBe(true)
    expect(retryable('ERR_SIGNER_TIMEOUT')).toBe(true)
    for (const code of [
      'ERR_SIGNER_CONFIG',
      'ERR_SIGNER_KEY_NOT_FOUND',
      'ERR_SIGNER_KEY_UNSUPPORTED',
      'ERR_SIGNER_KEY_DISABLED',
      'ERR_SIGNER_ACCESS_DENIED',
      'ERR_SIGNER_INTEGRITY',
      'ERR_SIGNER_BACKEND',
    ] as const) {
      expect(retryable(code)).toBe(false)
    }
  })

  it('is recognised across copies of the package, and nothing else is', () => {
    const error = new SignerError('ERR_SIGNER_CONFIG', 'no')
    const copy = Object.create({ [Symbol.for('@countersign/core.SignerError')]: true })
    expect(SignerError.is(error)).toBe(true)
    expect(SignerError.is(copy)).toBe(true)
    const others = [
      new Error('no'),
      { code: 'ERR_SIGNER_CONFIG' },
      null,
      undefined,
      'ERR',
      () => {},
    ]
    for (const other of others) expect(SignerError.is(other)).toBe(false)
  })

  it('shows its code, and keeps its cause out of JSON', () => {
    const error = new SignerError('ERR_SIGNER_BACKEND', 'no', { cause: new Error('MARKER') })
    expect(String(error)).toBe('SignerError: no')
    expect(JSON.parse(JSON.stringify(error))).toEqual({
      code: 'ERR_SIGNER_BACKEND',
      backend: 'core',
      retryable: false,
    })
    expect('cause' in new SignerError('ERR_SIGNER_BACKEND', 'no')).toBe(false)
  })
})
