/** How a call ended. */
export type Outcome =
  | { readonly state: 'fulfilled'; readonly value: unknown; readonly promised: boolean }
  /** `promised` is false when the call threw instead of returning a promise. */
  | { readonly state: 'rejected'; readonly reason: unknown; readonly promised: boolean }
  /** Nothing came back in time. */
  | { readonly state: 'pending' }

/**
 * Makes a call and waits for its outcome, but never longer than `seconds`.
 *
 * The call is made before this function returns, the timer is gone when its promise settles, and an
 * outcome after the timeout is ignored without an unhandled rejection.
 */
export function settle(call: () => unknown, seconds: number): Promise<Outcome> {
  let promised = false
  let result: unknown
  try {
    result = call()
    promised = typeof (result as PromiseLike<unknown> | undefined)?.then === 'function'
  } catch (reason) {
    return Promise.resolve({ state: 'rejected', reason, promised })
  }
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve({ state: 'pending' }), seconds * 1000)
    const end = (outcome: Outcome) => {
      clearTimeout(timer)
      resolve(outcome)
    }
    Promise.resolve(result).then(
      (value) => end({ state: 'fulfilled', value, promised }),
      (reason) => end({ state: 'rejected', reason, promised }),
    )
  })
}
