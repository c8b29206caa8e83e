import type { Output } from './output.ts'
import { isPrompting } from './prompt.ts'

/** How long nothing is said. */
const patienceMs = 1000

let clear: (() => void) | undefined

/** Removes what says that something takes long from a terminal, before something else is written there. */
export function clearProgress(): void {
  clear?.()
  clear = undefined
}

/** Says what is being waited for, on standard error, once the work takes longer than a second. */
export async function withProgress<T>(
  output: Pick<Output, 'status'>,
  sentence: string,
  work: () => Promise<T>,
): Promise<T> {
  const timer = setTimeout(() => {
    if (!isPrompting()) clear = output.status(`${sentence} …`)
  }, patienceMs)
  timer.unref()
  try {
    return await work()
  } finally {
    clearTimeout(timer)
    clearProgress()
  }
}
