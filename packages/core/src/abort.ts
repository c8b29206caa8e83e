/** Listeners that share one event listener of a signal. */
interface Group {
  readonly listeners: Set<() => void>
  readonly notify: () => void
}

// One event listener per signal, however many calls wait on it: Node.js 20 reports eleven as a leak.
const groups = new WeakMap<AbortSignal, Group>()

/**
 * Calls a function once when a signal aborts that has not aborted yet.
 *
 * All functions that wait on one signal share one event listener.
 *
 * @param signal - the caller's signal.
 * @param listener - called without arguments.
 * @returns a function that stops waiting.
 *
 * @example
 * ```ts
 * import { onAbort } from '@countersign/core/backend'
 *
 * const controller = new AbortController()
 * const stop = onAbort(controller.signal, () => console.log('aborted'))
 * stop()
 * ```
 *
 * @see [Node.js, AbortSignal](https://nodejs.org/api/globals.html#class-abortsignal)
 */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  const group = groups.get(signal) ?? createGroup(signal)
  const { listeners, notify } = group
  listeners.add(listener)
  return () => {
    if (!listeners.delete(listener) || listeners.size > 0) return
    signal.removeEventListener('abort', notify)
    groups.delete(signal)
  }
}

function createGroup(signal: AbortSignal): Group {
  const listeners = new Set<() => void>()
  const notify = () => {
    for (const listener of listeners) listener()
  }
  const group = { listeners, notify }
  groups.set(signal, group)
  signal.addEventListener('abort', notify)
  return group
}

/**
 * Settles as a shared promise does, or rejects for this caller alone when the caller's signal aborts.
 *
 * @param shared - work that continues whether or not this caller waits for it.
 * @param signal - the caller's signal; without one, the promise is returned as it is.
 * @returns a promise that rejects with `signal.reason` when the signal aborts first.
 *
 * @example
 * ```ts
 * import { unlessAborted } from '@countersign/core/backend'
 *
 * declare const renewal: Promise<string>
 *
 * const token = await unlessAborted(renewal, AbortSignal.timeout(1000))
 * ```
 *
 * @see [Node.js, AbortSignal](https://nodejs.org/api/globals.html#class-abortsignal)
 */
export function unlessAborted<T>(
  shared: Promise<T>,
  signal: AbortSignal | null | undefined,
): Promise<T> {
  if (signal === undefined || signal === null) return shared
  return new Promise((resolve, reject) => {
    const stop = signal.aborted ? () => {} : onAbort(signal, () => reject(signal.reason))
    if (signal.aborted) reject(signal.reason)
    shared.then(resolve, reject).finally(stop)
  })
}

/**
 * Makes a signal that aborts after a number of seconds, like `AbortSignal.timeout`, which refuses fractions of a
 * millisecond.
 *
 * @param seconds - a number above 0; rounded up to whole milliseconds.
 * @returns a signal whose reason is a `TimeoutError`. It does not keep the process alive.
 * @throws `RangeError` when `seconds` is not a number from 0 to 4294967.
 *
 * @example
 * ```ts
 * import { timeoutSignal } from '@countersign/core/backend'
 *
 * const response = await fetch('https://as.example.com', { signal: timeoutSignal(2.01) })
 * ```
 *
 * @see [DOM, AbortSignal.timeout](https://dom.spec.whatwg.org/#dom-abortsignal-timeout)
 */
export function timeoutSignal(seconds: number): AbortSignal {
  return AbortSignal.timeout(Math.ceil(seconds * 1000))
}

/**
 * Bounds one piece of work by a number of seconds and by the caller's signal.
 *
 * Signal and timer are made on demand, so that a result that is there at once pays for neither.
 */
export class Deadline {
  readonly #seconds: number
  readonly #callerSignal: AbortSignal | undefined
  readonly #tooLate: () => unknown
  readonly #keepAlive: boolean
  #controller: AbortController | undefined
  #failure: { readonly reason: unknown } | undefined

  /**
   * @param seconds - from the call of {@link settle}.
   * @param callerSignal - the caller's signal; it must not be aborted before {@link settle} is called, or the work is
   *   rejected with its reason.
   * @param tooLate - makes the reason to reject with when the time is over.
   * @param options - `keepAlive: false` lets the process exit while the timer runs.
   */
  constructor(
    seconds: number,
    callerSignal: AbortSignal | undefined,
    tooLate: () => unknown,
    { keepAlive = true }: { readonly keepAlive?: boolean } = {},
  ) {
    this.#seconds = seconds
    this.#callerSignal = callerSignal
    this.#tooLate = tooLate
    this.#keepAlive = keepAlive
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
        stop?.()
      }
      const fail = (reason: unknown) => {
        end()
        this.#failure = { reason }
        reject(reason)
        this.#controller?.abort(reason)
      }
      const abort = () => fail(signal?.reason)
      const stop = signal && onAbort(signal, abort)
      const timer = setTimeout(() => fail(this.#tooLate()), this.#seconds * 1000)
      if (!this.#keepAlive) timer.unref()
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
