interface Group {
  readonly listeners: Set<() => void>
  readonly notify: () => void
}

// One event listener per signal, however many calls wait on it: Node.js 20 takes eleven for a leak.
const groups = new WeakMap<AbortSignal, Group>()

/**
 * Calls a function when a signal that has not aborted yet does.
 *
 * However many wait on one signal, it has one event listener.
 *
 * @param signal - the signal of whoever asked for the work.
 * @param listener - called once, with nothing.
 * @returns a function that ends the waiting.
 *
 * @example
 * ```ts
 * import { onAbort } from '@countersign/core/backend'
 *
 * const controller = new AbortController()
 * const leave = onAbort(controller.signal, () => console.log('given up'))
 * leave()
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
