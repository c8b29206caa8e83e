import { setTimeout as delay } from 'node:timers/promises'
import { SignerError } from '@countersign/core'
import { but, type Fault, forever, signing } from './faulty-signer.ts'

export const abortFaults: Fault[] = [
  {
    check: 'aborted-before-call',
    that: 'signs although the signal is aborted already',
    factory: but('ES256', ({ sign }) => ({ sign: (input: Uint8Array) => sign(input) })),
  },
  {
    check: 'aborted-before-call',
    that: 'wraps the reason of a signal that is aborted already',
    factory: but('ES256', ({ sign }) => ({
      async sign(input: Uint8Array, options?: { signal?: AbortSignal }) {
        if (options?.signal?.aborted) throw new Error('gave up', { cause: options.signal.reason })
        return sign(input)
      },
    })),
  },
  {
    check: 'aborted-before-call',
    that: 'throws the reason of an aborted signal instead of rejecting',
    factory: but('ES256', ({ sign }) => ({
      sign(input: Uint8Array, options?: { signal?: AbortSignal }) {
        options?.signal?.throwIfAborted()
        return sign(input)
      },
    })),
  },
  {
    check: 'aborted-in-flight',
    that: 'rejects with a SignerError when it is aborted while signing',
    factory: signing('ES256', () => async (good, input, options) => {
      await delay(1)
      if (options?.signal?.aborted) throw new SignerError('ERR_SIGNER_TIMEOUT', 'aborted')
      return good(input)
    }),
  },
  {
    check: 'aborted-in-flight',
    that: 'never settles when it is aborted while signing',
    factory: signing('ES256', () => async (good, input, options) => {
      await delay(1)
      return options?.signal?.aborted ? forever : good(input)
    }),
    options: { timeoutSeconds: 2 },
  },
  {
    check: 'signs-after-abort',
    that: 'is unusable after an abort',
    factory: signing('ES256', () => {
      let broken = false
      return async (good, input, options) => {
        if (broken) throw new SignerError('ERR_SIGNER_UNAVAILABLE', 'no session')
        options?.signal?.addEventListener('abort', () => {
          broken = true
        })
        return good(input)
      }
    }),
  },
]
