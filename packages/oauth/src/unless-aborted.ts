/** Settles as a shared promise does, or rejects for this caller alone when its signal aborts. */
export function unlessAborted<T>(
  shared: Promise<T>,
  signal: AbortSignal | null | undefined,
): Promise<T> {
  if (signal === undefined || signal === null) return shared
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    shared.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
