import { onAbort } from './abort-listener.ts'

/** Settles as what several callers wait for does, or rejects for this caller alone when its signal aborts. */
export async function unlessAborted<T>(
  shared: PromiseLike<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  signal?.throwIfAborted()
  let leave = () => {}
  const left = new Promise<never>((_, reject) => {
    if (signal !== undefined) leave = onAbort(signal, () => reject(signal.reason))
  })
  try {
    return await Promise.race([shared, left])
  } finally {
    leave()
  }
}
