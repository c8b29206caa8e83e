import { inspect } from 'node:util'
import type { SignerError } from '@countersign/core'

export const input: Buffer = Buffer.from('what is signed here')

/** The error that a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<SignerError> {
  let value: unknown
  try {
    value = await promise
  } catch (error) {
    return error as SignerError
  }
  throw new Error(`the promise did not reject: ${String(value)}`)
}

/** Every string that can be reached from a value, including those of hidden and inherited members. */
function* strings(value: unknown, seen = new Set<unknown>()): Generator<string> {
  if (typeof value === 'string') yield value
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return
  if (seen.has(value) || ArrayBuffer.isView(value)) return
  seen.add(value)
  if (value instanceof Map || value instanceof Set) {
    for (const item of value) yield* strings(item, seen)
  }
  for (const name of Reflect.ownKeys(value)) {
    yield String(name)
    yield* strings(Reflect.get(value, name), seen)
  }
}

/** All text that a person or a log could see of a value, and all text that can be reached from it. */
export function textOf(value: unknown): string {
  const parts = [...strings(value), inspect(value, { depth: 20, showHidden: true })]
  for (let error = value; error instanceof Error; error = error.cause) {
    parts.push(String(error), error.message, error.stack ?? '')
  }
  return parts.join('\n')
}
