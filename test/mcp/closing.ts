import { afterEach, vi } from 'vitest'

/** Anything that a test has to close. */
export interface Closable {
  close(): void | Promise<void>
}

const open: Closable[] = []

afterEach(async () => {
  for (const closable of open.splice(0).reverse()) await closable.close()
})

/** Closes the object after the test, in reverse order of these calls. */
export function closing<T extends Closable>(closable: T): T {
  open.push(closable)
  return closable
}

/** Hides the warnings of an SDK until the test ends. */
export function silenceWarnings(): void {
  const warning = vi.spyOn(console, 'warn').mockImplementation(() => {})
  closing({ close: () => void warning.mockRestore() })
}
