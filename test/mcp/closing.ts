import { afterEach, vi } from 'vitest'

/** Something with an end. */
export interface Closable {
  close(): void | Promise<void>
}

const open: Closable[] = []

afterEach(async () => {
  for (const closable of open.splice(0).reverse()) await closable.close()
})

/** Closes it after the test, the last one first. */
export function closing<T extends Closable>(closable: T): T {
  open.push(closable)
  return closable
}

/** Keeps the warnings of an SDK off the terminal until the test ends. */
export function silenceWarnings(): void {
  const warning = vi.spyOn(console, 'warn').mockImplementation(() => {})
  closing({ close: () => void warning.mockRestore() })
}
