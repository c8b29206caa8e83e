/** Lets a bounded number of calls run at once, in the order they came; those that wait can leave. */
export function fifo(size: number): <T>(signal: AbortSignal, call: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = []
  let running = 0

  function leave(enter: () => void, reject: (reason: unknown) => void, signal: AbortSignal): void {
    const at = waiting.indexOf(enter)
    if (at < 0) return
    waiting.splice(at, 1)
    reject(signal.reason)
  }

  return async (signal, call) => {
    signal.throwIfAborted()
    if (running >= size) {
      await new Promise<void>((resolve, reject) => {
        const enter = () => {
          signal.removeEventListener('abort', onAbort)
          resolve()
        }
        const onAbort = () => leave(enter, reject, signal)
        waiting.push(enter)
        signal.addEventListener('abort', onAbort, { once: true })
      })
    } else running++
    try {
      return await call()
    } finally {
      const next = waiting.shift()
      if (next === undefined) running--
      else next()
    }
  }
}
