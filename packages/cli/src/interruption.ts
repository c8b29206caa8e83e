/** Why a command was given up: a signal from the person or the system that started it. */
export class Interruption extends Error {
  readonly code: string = 'ERR_INTERRUPTED'

  static {
    Object.defineProperty(Interruption.prototype, 'name', { value: 'Interruption' })
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
