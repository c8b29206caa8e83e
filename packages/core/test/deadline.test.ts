import { getEventListeners } from 'node:events'
import { createSigner, type SignerBackend, type SignRequest } from '@countersign/core'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { backend, signRequest } from './backend.ts'
import { keyPair } from './keys.ts'
import { refusal, thrown } from './outcome.ts'

const input = Buffer.from('input')
const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

const unhandled: unknown[] = []
const onUnhandled = (reason: unknown) => unhandled.push(reason)
const warnings: Error[] = []
const onWarning = (warning: Error) => warnings.push(warning)

beforeEach(() => {
  process.on('unhandledRejection', onUnhandled).on('warning', onWarning)
})

afterEach(async () => {
  vi.restoreAllMocks()
  await sleep(5)
  process.off('unhandledRejection', onUnhandled).off('warning', onWarning)
  expect(unhandled.splice(0)).toEqual([])
  expect(warnings.splice(0)).toEqual([])
})

const sign = (request: SignRequest) => signRequest('ES256', keyPair('ES256'), request)
const signerWith = (verb: SignerBackend['sign'], timeoutSeconds?: number) =>
  createSigner(backend('ES256', { sign: verb }), { timeoutSeconds })

/** A backend that answers when told to. */
function manual() {
  const { promise, resolve, reject } = deferred<Uint8Array>()
  let request: SignRequest | undefined
  const verb = (asked: SignRequest) => {
    request = asked
    return promise
  }
  return { verb, resolve, reject, signal: () => request?.signal }
}

function deferred<T>() {
  let resolve: (value: T) => void = () => {}
  let reject: (reason: unknown) => void = () => {}
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}

describe('the deadline', () => {
  it('ends a call with ERR_SIGNER_TIMEOUT at timeoutSeconds, and aborts the request', async () => {
    const vault = manual()
    const start = performance.now()
    const call = signerWith(vault.verb, 0.05).sign(input)
    expect(vault.signal()?.aborted).toBe(false)
    const error = await refusal(() => call)
    expect(performance.now() - start).toBeGreaterThan(45)
    expect(error).toMatchObject({
      code: 'ERR_SIGNER_TIMEOUT',
      retryable: true,
      backend: 'test-vault',
    })
    expect(error.message).toContain('0.05 s')
    expect(vault.signal()?.aborted).toBe(true)
    expect(vault.signal()?.reason).toBe(error)
  })

  it('tells a backend that looks at the signal only afterwards', async () => {
    let late: SignRequest | undefined
    const error = await refusal(() =>
      signerWith((request) => {
        late = request
        return new Promise(() => {})
      }, 0.01).sign(input),
    )
    expect(late?.signal.aborted).toBe(true)
    expect(late?.signal.reason).toBe(error)
  })

  it('and the signal of the caller can be asked for without a signal of its own being made', async () => {
    const made = vi.spyOn(globalThis, 'AbortController')
    const requests: SignRequest[] = []
    const waiting = (request: SignRequest) => {
      requests.push(request)
      return new Promise<Uint8Array>(() => {})
    }
    const late = refusal(() => signerWith(waiting, 0.01).sign(input))
    const signal = AbortSignal.timeout(1)
    const left = thrown(() => signerWith(waiting).sign(input, { signal }))
    expect(requests.map(({ aborted }) => aborted)).toEqual([false, false])
    await Promise.all([late, left])
    expect(requests.map(({ aborted }) => aborted)).toEqual([true, true])
    expect(made).not.toHaveBeenCalled()
  })

  it('swallows what comes after it, a signature or a failure', async () => {
    for (const answer of ['resolve', 'reject'] as const) {
      const vault = manual()
      const call = signerWith(vault.verb, 0.01).sign(input)
      expect((await refusal(() => call)).code).toBe('ERR_SIGNER_TIMEOUT')
      vault[answer](Buffer.from('late'))
    }
  })

  it('leaves no timer behind, whatever the outcome', async () => {
    const set = vi.spyOn(globalThis, 'setTimeout')
    const cleared = vi.spyOn(globalThis, 'clearTimeout')
    await signerWith(async (request) => sign(request), 600).sign(input)
    await thrown(() => signerWith(() => Promise.reject(new Error('down')), 600).sign(input))
    await thrown(() =>
      signerWith(() => {
        throw new Error('down at once')
      }, 600).sign(input),
    )
    const controller = new AbortController()
    const call = signerWith(() => new Promise(() => {}), 600).sign(input, {
      signal: controller.signal,
    })
    controller.abort()
    await thrown(() => call)
    const timers = set.mock.results.filter((_, call) => set.mock.calls[call]?.[1] === 600_000)
    // The one that failed at once needed none.
    expect(timers).toHaveLength(3)
    for (const { value } of timers) expect(cleared).toHaveBeenCalledWith(value)
  })

  it('does not reject an answer that came in time', async () => {
    const slow = async (request: SignRequest) => {
      await sleep(20)
      return sign(request)
    }
    expect(await signerWith(slow, 5).sign(input)).toHaveLength(64)
  })
})

describe("the caller's signal", () => {
  const reasons: [string, unknown][] = [
    ['an Error', new Error('shutting down')],
    ['a string', 'enough'],
    ['zero', 0],
    ['null', null],
    ['NaN', Number.NaN],
    ['an object', { because: 'so' }],
    ['a function', () => {}],
  ]

  it.each(reasons)('rejects with exactly its reason when that is %s', async (_, reason) => {
    const vault = manual()
    const controller = new AbortController()
    const call = signerWith(vault.verb).sign(input, { signal: controller.signal })
    controller.abort(reason)
    expect(await thrown(() => call)).toBe(reason)
    expect(vault.signal()?.reason).toBe(reason)
  })

  it.each(reasons)(
    'keeps the backend from being asked when it aborted before: %s',
    async (_, reason) => {
      let asked = false
      const signer = signerWith((request) => {
        asked = true
        return sign(request)
      })
      expect(await thrown(() => signer.sign(input, { signal: AbortSignal.abort(reason) }))).toBe(
        reason,
      )
      expect(asked).toBe(false)
    },
  )

  it('rejects with its own reason when the backend answers the abort with an error of its own', async () => {
    const controller = new AbortController()
    const signer = signerWith(
      ({ signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(new Error('AbortError of a vendor')))
        }),
    )
    const call = signer.sign(input, { signal: controller.signal })
    const reason = new Error('mine')
    controller.abort(reason)
    expect(await thrown(() => call)).toBe(reason)
  })

  it('is noticed when it aborts while the backend is being called', async () => {
    const controller = new AbortController()
    const signer = signerWith(() => {
      controller.abort('meanwhile')
      return new Promise(() => {})
    }, 1)
    expect(await thrown(() => signer.sign(input, { signal: controller.signal }))).toBe('meanwhile')
  })

  it('rejects with the TimeoutError of AbortSignal.timeout', async () => {
    const signal = AbortSignal.timeout(10)
    const call = signerWith(() => new Promise(() => {})).sign(input, { signal })
    expect(await thrown(() => call)).toBe(signal.reason)
    expect(signal.reason).toMatchObject({ name: 'TimeoutError' })
  })

  it('keeps no listener of a call that is over', async () => {
    const { signal } = new AbortController()
    await signerWith(async (request) => sign(request)).sign(input, { signal })
    await thrown(() => signerWith(() => Promise.reject(new Error('down'))).sign(input, { signal }))
    await thrown(() => signerWith(() => new Promise(() => {}), 0.01).sign(input, { signal }))
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  it('is still heeded by a call that comes after another one is over', async () => {
    const controller = new AbortController()
    const { signal } = controller
    await signerWith(async (request) => sign(request)).sign(input, { signal })
    const call = thrown(() => signerWith(() => new Promise(() => {}), 1).sign(input, { signal }))
    controller.abort('later')
    expect(await call).toBe('later')
  })

  it('may be shared by many calls at once, without a warning of a leak', async () => {
    const controller = new AbortController()
    const { signal } = controller
    const hanging = signerWith(() => new Promise(() => {}))
    const answering = signerWith(async (request) => {
      await sleep(10)
      return sign(request)
    })
    const answered = Array.from({ length: 30 }, () => answering.sign(input, { signal }))
    const aborted = Array.from({ length: 30 }, () => thrown(() => hanging.sign(input, { signal })))
    await Promise.all(answered)
    controller.abort('all of them')
    expect(new Set(await Promise.all(aborted))).toEqual(new Set(['all of them']))
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  it('does not undo a failure that came first', async () => {
    const controller = new AbortController()
    const call = signerWith(() => Promise.reject(new Error('down'))).sign(input, {
      signal: controller.signal,
    })
    const error = await refusal(() => call)
    controller.abort()
    expect(error.code).toBe('ERR_SIGNER_BACKEND')
  })
})
