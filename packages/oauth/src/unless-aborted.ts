// One event listener per signal, however many callers wait on it: Node.js takes eleven for a leak.
const waitingOn = new WeakMap<AbortSignal, Set<() => void>>()

/** Settles as a shared promise does, or rejects for this caller alone when its signal aborts. */
export function unlessAborted<T>(
  shared: Promise<T>,
  signal: AbortSignal | null | undefined,
): Promise<T> {
  if (signal === undefined || signal === null) return shared
  return new Promise((resolve, reject) => {
    const leave = signal.aborted ? () => {} : onAbort(signal, () => reject(signal.reason))
    if (signal.aborted) reject(signal.reason)
    shared.then(resolve, reject).finally(leave)
  })
}

function onAbort(signal: AbortSignal, listener: () => void): () => void {
  const listeners = waitingOn.get(signal) ?? new Set()
  listeners.add(listener)
  if (!waitingOn.has(signal)) {
    waitingOn.set(signal, listeners)
    signal.addEventListener('abort', notify)
  }
  return () => {
    listeners.delete(listener)
    if (listeners.size > 0) return
    signal.removeEventListener('abort', notify)
    waitingOn.delete(signal)
  }
}

function notify(this: AbortSignal): void {
  for (const listener of waitingOn.get(this) ?? []) listener()
}
