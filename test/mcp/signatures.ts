import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { SignMessage } from '@countersign/core'
import { closing } from './closing.ts'

/** The signatures made with one key from now on, as `countersign:sign` reports them. */
export function signaturesOf(kid: string): readonly SignMessage[] {
  const made: SignMessage[] = []
  const note = (message: unknown) => {
    if ((message as SignMessage).kid === kid) made.push(message as SignMessage)
  }
  subscribe('countersign:sign', note)
  closing({ close: () => void unsubscribe('countersign:sign', note) })
  return made
}
