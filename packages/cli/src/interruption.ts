/** Why a command was given up: a signal from the person or the system that started it. */
export class Interruption extends Error {
  readonly code: string = 'ERR_INTERRUPTED'

  static {
    Object.defineProperty(Interruption.prototype, 'name', { value: 'Interruption' })
  }
}

/** How long what was interrupted may take to end by itself, and to give back what it holds. */
const graceMs = 1000

/** Settles as the work does, or rejects when that goes on after an interruption: it may read what nobody writes. */
export async function orInterrupted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const stuck = new Promise<never>((_resolve, reject) => {
    const abort = () => {
      timer = setTimeout(() => reject(signal.reason), graceMs)
    }
    signal.addEventListener('abort', abort, { once: true })
  })
  try {
    return await Promise.race([work, stuck])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * A signal that aborts at the first SIGINT or SIGTERM. The second one ends the process at once, as it
 * would without this.
 */
export function interruptible(): AbortSignal {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => controller.abort(new Interruption(`interrupted by ${name}`)))
  }
  return controller.signal
}
