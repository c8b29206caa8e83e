import { onTestFinished } from 'vitest'

/** Closes something when the running test is over. */
export function closing<T extends { close(): Promise<void> }>(closable: T): T {
  onTestFinished(() => closable.close())
  return closable
}
