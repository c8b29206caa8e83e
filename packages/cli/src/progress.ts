import type { Output } from './output.ts'
import { isPrompting } from './prompt.ts'

/** How long nothing is said. */
const patienceMs = 1000

/** Says what is being waited for, on standard error, once the work takes longer than a second. */
export async function withProgress<T>(
  output: Pick<Output, 'note'>,
  sentence: string,
  work: () => Promise<T>,
): Promise<T> {
  const timer = setTimeout(() => {
    if (!isPrompting()) output.note(`${sentence} …`)
  }, patienceMs)
  timer.unref()
  try {
    return await work()
  } finally {
    clearTimeout(timer)
  }
}
