import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { inspect } from 'node:util'
import { SignerError, type SignMessage } from '@countersign/core'

/** What an action throws or rejects with; fails when it does neither. */
export async function thrown(action: () => unknown): Promise<unknown> {
  try {
    await action()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

/** The {@link SignerError} that an action fails with. */
export async function refusal(action: () => unknown): Promise<SignerError> {
  const error = await thrown(action)
  if (error instanceof SignerError) return error
  throw new Error(`not a SignerError: ${inspect(error)}`)
}

/** The diagnostics messages that are published while an action runs. */
export async function published(action: () => unknown): Promise<SignMessage[]> {
  const messages: SignMessage[] = []
  const listener = (message: unknown) => {
    messages.push(message as SignMessage)
  }
  subscribe('countersign:sign', listener)
  try {
    await action()
  } finally {
    unsubscribe('countersign:sign', listener)
  }
  return messages
}

/** All that a value shows of itself: text, stack, inspection to any depth, and JSON. */
export function everythingShown(value: unknown): string {
  const shown = [inspect(value, { depth: Infinity, showHidden: true, getters: true })]
  for (let error = value; error instanceof Error; error = error.cause) {
    shown.push(error.name, error.message, error.stack ?? '', String(error))
  }
  shown.push(JSON.stringify(value) ?? '')
  return shown.join('\n')
}
