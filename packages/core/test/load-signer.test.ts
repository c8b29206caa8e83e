import { getEventListeners } from 'node:events'
import { SignerError } from '@countersign/core'
import { chooseAlgorithm, loadSigner } from '@countersign/core/backend'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { signRequest } from './backend.ts'
import { keyPair } from './keys.ts'
import { published, refusal, thrown } from './outcome.ts'

const service = { name: 'test-vault' }
const own = keyPair('ES256')
const key = {
  alg: 'ES256',
  publicKey: own.publicKey,
  sign: async (request) => signRequest('ES256', own, request),
} satisfies Awaited<ReturnType<Parameters<typeof loadSigner>[1]>>
const never = () => new Promise<never>(() => {})

const unhandled: unknown[] = []
const onUnhandled = (reason: unknown) => unhandled.push(reason)
beforeEach(() => void process.on('unhandledRejection', onUnhandled))
afterEach(async () => {
  await new Promise((resolve) => setTimeout(resolve, 5))
  process.off('unhandledRejection', onUnhandled)
  expect(unhandled.splice(0)).toEqual([])
})

describe('a signer that was loaded', () => {
  it('has signed once, and signs', async () => {
    const messages = await published(async () => {
      const signer = await loadSigner(service, async () => key, { kid: 'k' })
      expect(await signer.sign(Buffer.from('input'))).toHaveLength(64)
    })
    const signed = { backend: 'test-vault', alg: 'ES256', kid: 'k', outcome: 'signed' }
    expect(messages).toMatchObject([signed, signed])
  })

  it('has had its first signature verified, even if it is not to verify the others', async () => {
    const other = keyPair('ES256', 'other')
    const read = async () => ({ ...key, publicKey: other.publicKey })
    const error = await refusal(() => loadSigner(service, read, { verify: false }))
    expect(error).toMatchObject({ code: 'ERR_SIGNER_INTEGRITY' })
    const signer = await loadSigner(service, async () => key, { verify: false })
    expect(await signer.sign(Buffer.from('input'))).toHaveLength(64)
  })

  it('is not bound by the signal of its load', async () => {
    const controller = new AbortController()
    const { signal } = controller
    let told: AbortSignal | undefined
    const read = async (ofLoad: AbortSignal) => {
      told = ofLoad
      return key
    }
    const signer = await loadSigner(service, read, { signal })
    controller.abort()
    expect(told?.aborted).toBe(false)
    expect(await signer.sign(Buffer.from('input'))).toHaveLength(64)
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })
})

describe('what was opened for a key', () => {
  it('does not sign after a close() that fails', async () => {
    const open =
      (publicKey = key.publicKey): Parameters<typeof loadSigner>[1] =>
      async (_, onClose) => {
        onClose(() => {
          throw new Error('not closed')
        })
        return { ...key, publicKey }
      }
    const signer = await loadSigner(service, open())
    const closing = signer.close()
    await expect(closing).rejects.toThrow('not closed')
    expect((await refusal(() => signer.sign(Buffer.from('x')))).message).toMatch(/was closed/)
    const error = await refusal(() =>
      loadSigner(service, open(keyPair('ES256', 'other').publicKey)),
    )
    expect(error.code).toBe('ERR_SIGNER_INTEGRITY')
  })

  it('is released once, when the signer is closed, and the signer does not sign any more', async () => {
    let closed = 0
    const signer = await loadSigner(service, async (_, onClose) => {
      onClose(() => closed++)
      return key
    })
    expect(closed).toBe(0)
    await Promise.all([signer.close(), signer[Symbol.asyncDispose]()])
    expect(closed).toBe(1)
    expect(await refusal(() => signer.sign(Buffer.from('input')))).toMatchObject({
      code: 'ERR_SIGNER_CONFIG',
      backend: 'test-vault',
    })
  })

  it('is released when the read fails after it, and its error is the one of the read', async () => {
    const released: string[] = []
    const failed = await thrown(() =>
      loadSigner(service, async (_signal, onClose) => {
        onClose(() => void released.push('session'))
        onClose(() => {
          released.push('client')
          throw new Error('not closed')
        })
        throw new SignerError('ERR_SIGNER_KEY_NOT_FOUND', 'no such key')
      }),
    )
    expect(failed).toMatchObject({ code: 'ERR_SIGNER_KEY_NOT_FOUND' })
    expect(released).toEqual(['client', 'session'])
  })

  it('is released once when the signer is closed, last opened first, also when one fails', async () => {
    const released: string[] = []
    const signer = await loadSigner(service, async (_signal, onClose) => {
      onClose(() => void released.push('client'))
      onClose(() => {
        released.push('session')
        throw new Error('not closed')
      })
      return key
    })
    expect(released).toEqual([])
    await expect(signer.close()).rejects.toThrow('not closed')
    await expect(signer.close()).rejects.toThrow('not closed')
    expect(released).toEqual(['session', 'client'])
  })

  it.each([
    ['opened', async () => {}],
    ['read', () => new Promise((resolve) => setTimeout(resolve, 50))],
  ])('is released when the load was too late by the time it is %s', async (_, reading) => {
    let closed = 0
    const error = await refusal(() =>
      loadSigner(
        service,
        async (_signal, onClose) => {
          await new Promise((resolve) => setTimeout(resolve, 50))
          onClose(() => closed++)
          await reading()
          return key
        },
        { timeoutSeconds: 0.01 },
      ),
    )
    expect(error.code).toBe('ERR_SIGNER_TIMEOUT')
    expect(closed).toBe(0)
    await vi.waitFor(() => expect(closed).toBe(1))
  })

  it('is released when the caller aborts while the trial signature is verified', async () => {
    let closed = 0
    const controller = new AbortController()
    const sign: typeof key.sign = async (request) => {
      const signature = await key.sign(request)
      // After the signature was returned, and before it was verified.
      queueMicrotask(() => queueMicrotask(() => controller.abort('mine')))
      return signature
    }
    const load = loadSigner(
      service,
      async (_signal, onClose) => {
        onClose(() => closed++)
        return { ...key, sign }
      },
      { signal: controller.signal },
    )
    expect(await thrown(() => load)).toBe('mine')
    await vi.waitFor(() => expect(closed).toBe(1))
  })

  it('is released when the trial signature fails', async () => {
    let closed = 0
    const { publicKey } = keyPair('ES256', 'other')
    await refusal(() =>
      loadSigner(service, async (_, onClose) => {
        onClose(() => closed++)
        return { ...key, publicKey }
      }),
    )
    expect(closed).toBe(1)
  })
})

describe('the deadline of a load', () => {
  it.each([
    ['reading the key', never],
    ['the trial signature', async () => ({ ...key, sign: never })],
  ])('ends it while it waits for %s, and its signal aborts', async (_, read) => {
    let told: AbortSignal | undefined
    const reading = (signal: AbortSignal) => {
      told = signal
      return read()
    }
    const start = performance.now()
    const error = await refusal(() => loadSigner(service, reading, { timeoutSeconds: 0.05 }))
    expect(performance.now() - start).toBeGreaterThan(45)
    expect(error).toMatchObject({
      code: 'ERR_SIGNER_TIMEOUT',
      backend: 'test-vault',
      retryable: true,
    })
    expect(error.message).toMatch(/did not load the key within 0\.05 s/)
    expect(told?.reason).toBe(error)
  })

  it('is one for reading and signing together', async () => {
    const slowly = <T>(value: T) => new Promise<T>((resolve) => setTimeout(resolve, 60, value))
    const read = () => slowly({ ...key, sign: () => slowly(new Uint8Array(64)) })
    const error = await refusal(() => loadSigner(service, read, { timeoutSeconds: 0.1 }))
    expect(error.code).toBe('ERR_SIGNER_TIMEOUT')
  })

  it('swallows what comes after it', async () => {
    const late = () => new Promise<never>((_, reject) => setTimeout(reject, 200, new Error('late')))
    const error = await refusal(() => loadSigner(service, late, { timeoutSeconds: 0.01 }))
    expect(error.code).toBe('ERR_SIGNER_TIMEOUT')
    await new Promise((resolve) => setTimeout(resolve, 220))
  })
})

describe('an abort of a load', () => {
  it.each([
    ['reading the key', never],
    ['the trial signature', async () => ({ ...key, sign: never })],
  ])('rejects with its reason as it is, during %s', async (_, read) => {
    const controller = new AbortController()
    let told: AbortSignal | undefined
    const reading = (signal: AbortSignal) => {
      told = signal
      return read()
    }
    const load = thrown(() => loadSigner(service, reading, { signal: controller.signal }))
    await new Promise((resolve) => setTimeout(resolve, 5))
    const reason = { because: 'so' }
    controller.abort(reason)
    expect(await load).toBe(reason)
    expect(told?.reason).toBe(reason)
  })

  it('rejects with its reason when the read answers it with an error of a vendor', async () => {
    const controller = new AbortController()
    const read = (signal: AbortSignal) =>
      new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => reject(new Error('AbortError of a vendor')))
      })
    const load = thrown(() => loadSigner(service, read, { signal: controller.signal }))
    controller.abort('mine')
    expect(await load).toBe('mine')
  })

  it('before the load has nothing read', async () => {
    let reads = 0
    const read = async () => {
      reads++
      return key
    }
    const signal = AbortSignal.abort('before')
    expect(await thrown(() => loadSigner(service, read, { signal }))).toBe('before')
    expect(reads).toBe(0)
  })
})

describe('a load that fails', () => {
  const vendors = Object.assign(new Error('Rate exceeded'), { name: 'ThrottlingException' })
  const naming = {
    name: 'test-vault',
    describeError: (error: unknown) =>
      error === vendors
        ? ({ code: 'ERR_SIGNER_THROTTLED', message: 'try later' } as const)
        : undefined,
  }

  it.each([
    ['of the read', () => Promise.reject(vendors)],
    ['of the trial signature', async () => ({ ...key, sign: () => Promise.reject(vendors) })],
  ])('has the name that the service gives the error %s', async (_, read) => {
    const error = await refusal(() => loadSigner(naming, read))
    expect(error).toMatchObject({
      code: 'ERR_SIGNER_THROTTLED',
      message: 'try later',
      backend: 'test-vault',
    })
    expect(error.cause).toBe(vendors)
  })

  it.each([
    ['of the read', 'could not load the key', (error: unknown) => Promise.reject(error)],
    [
      'of the trial signature',
      'could not sign',
      async (error: unknown) => ({ ...key, sign: () => Promise.reject(error) }),
    ],
  ])('without a name is ERR_SIGNER_BACKEND, %s, and says what failed', async (_, failed, read) => {
    for (const cause of [new Error('odd'), new TypeError('fetch failed'), 'text', undefined]) {
      const error = await refusal(() => loadSigner(naming, () => read(cause)))
      expect(error.code).toBe('ERR_SIGNER_BACKEND')
      expect(error.cause).toBe(cause)
      expect(error.message).toBe(`test-vault ${failed}; the cause says why`)
    }
  })

  it('with a SignerError keeps it', async () => {
    const denied = new SignerError('ERR_SIGNER_ACCESS_DENIED', 'no', { backend: 'test-vault' })
    expect(await refusal(() => loadSigner(naming, () => Promise.reject(denied)))).toBe(denied)
  })

  it('by a key of another size, type or owner is no signer', async () => {
    const es384 = async () => ({ ...key, publicKey: keyPair('ES384').publicKey })
    expect((await refusal(() => loadSigner(service, es384))).code).toBe('ERR_SIGNER_CONFIG')
    const other = async () => ({ ...key, publicKey: keyPair('ES256', 'other').publicKey })
    expect((await refusal(() => loadSigner(service, other))).code).toBe('ERR_SIGNER_INTEGRITY')
  })
})

describe('misuse', () => {
  it.each([
    ['kid', { kid: 7 }],
    ['verify', { verify: 'yes' }],
    ['timeoutSeconds', { timeoutSeconds: 0 }],
    ['timeoutSeconds', { timeoutSeconds: '5' }],
    ['signal', { signal: {} }],
    ['alg', { alg: 256 }],
  ])('of "%s" is a TypeError as it is: %o', async (option, options) => {
    const error = await thrown(() => loadSigner(service, async () => key, options as never))
    expect(error).toBeInstanceOf(TypeError)
    expect(String(error)).toContain(`"${option}"`)
  })

  it.each([{ alg: 256 }, { alg: 'HS256' }, { timeoutSeconds: 601 }])(
    'is told before anything is read: %o',
    async (options) => {
      let reads = 0
      const read = async () => {
        reads++
        return key
      }
      await thrown(() => loadSigner(service, read, options as never))
      expect(reads).toBe(0)
    },
  )
})

describe('the algorithm of a key', () => {
  it('is the first that it can be used with, or the one that is asked for', () => {
    expect(chooseAlgorithm(undefined, ['RS256', 'PS256'], 'test-vault')).toBe('RS256')
    expect(chooseAlgorithm('PS256', ['RS256', 'PS256'], 'test-vault')).toBe('PS256')
  })

  it.each([
    [
      'ES256',
      ['RS256', 'PS256'],
      'ERR_SIGNER_CONFIG',
      /ES256 does not fit.*use one of RS256, PS256$/,
    ],
    ['RS256', ['ES256'], 'ERR_SIGNER_CONFIG', /use ES256$/],
    ['HS256', ['ES256'], 'ERR_SIGNER_CONFIG', /"HS256" is not one a signer can have/],
    [undefined, [], 'ERR_SIGNER_KEY_UNSUPPORTED', /makes no JWS signature/],
    ['RS256', [], 'ERR_SIGNER_KEY_UNSUPPORTED', /makes no JWS signature/],
  ] as const)('is refused: %s for a key of %j', async (asked, possible, code, message) => {
    const error = await refusal(() => chooseAlgorithm(asked as 'ES256', possible, 'test-vault'))
    expect(error).toMatchObject({ code, backend: 'test-vault' })
    expect(error.message).toMatch(message)
  })

  it('is a name', async () => {
    const error = await thrown(() => chooseAlgorithm(256 as never, ['ES256'], 'test-vault'))
    expect(error).toBeInstanceOf(TypeError)
  })
})
