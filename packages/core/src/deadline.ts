import { onAbort } from './abort-listener.ts'

/**
 * A bound on one piece of work: a number of seconds, and the signal of whoever asked for it.
 *
 * Signal and timer are made on demand, so that what takes no waiting pays for neither.
 */
export class Deadline {
  readonly #seconds: number
  readonly #callerSignal: AbortSignal | undefined
  readonly #late: () => unknown
  #controller: AbortController | undefined
  #failure: { readonly reason: unknown } | undefined

  /** @param late - makes the reason to reject with when the time is over. */
  constructor(seconds: number, callerSignal: AbortSignal | undefined, late: () => unknown) {
    this.#seconds = seconds
    this.#callerSignal = callerSignal
    this.#late = late
  }

  get aborted(): boolean {
    return this.#failure !== undefined
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#failure !== undefined) this.#controller.abort(this.#failure.reason)
    }
    return this.#controller.signal
  }

  /** Settles as the work does, or rejects on the caller's abort or at the deadline, whichever is first. */
  settle<T>(promise: PromiseLike<T>): Promise<T> {
    const signal = this.#callerSignal
    return new Promise((resolve, reject) => {
      const end = () => {
        clearTimeout(timer)
        leave?.()
      }
      const fail = (reason: unknown) => {
        end()
        this.#failure = { reason }
        reject(reason)
        this.#controller?.abort(reason)
      }
      const abort = () => fail(signal?.reason)
      const leave = signal && onAbort(signal, abort)
      const timer = setTimeout(() => fail(this.#late()), this.#seconds * 1000)
      if (signal?.aborted) abort()
      Promise.resolve(promise).then(
        (value) => {
          end()
          resolve(value)
        },
        (reason) => {
          end()
          reject(reason)
        },
      )
    })
  }
}
