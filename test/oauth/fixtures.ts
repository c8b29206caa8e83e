import { generateKeyPairSync } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Signer, SignMessage } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { OAuthError, type TokenMessage } from '@countersign/oauth'
import { expect, onTestFinished } from 'vitest'

/** Closes a server or a signer at the end of the running test. */
export function closing<T extends { close(): Promise<void> }>(closable: T): T {
  onTestFinished(() => closable.close())
  return closable
}

/** A signer with a fresh P-256 key. */
export function es256Signer(): Promise<Signer> {
  return localSigner({ key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey })
}

/** Returns what an action throws or rejects with; throws if the action succeeds. */
export async function thrown(action: () => unknown): Promise<unknown> {
  try {
    await action()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

/** Returns the {@link OAuthError} that an action throws. */
export async function refusal(action: () => unknown): Promise<OAuthError> {
  const error = await thrown(action)
  if (OAuthError.is(error)) return error
  throw new Error('not an OAuthError', { cause: error })
}

/** Collects what is published on a diagnostics channel while an action runs. */
export async function messagesOn<T>(
  channel: string,
  messages: unknown[],
  action: () => T | Promise<T>,
): Promise<T> {
  const listener = (message: unknown) => void messages.push(message)
  subscribe(channel, listener)
  try {
    return await action()
  } finally {
    unsubscribe(channel, listener)
  }
}

/** Returns the messages about signatures that are made while an action runs. */
export async function signaturesOf(action: () => unknown): Promise<SignMessage[]> {
  const messages: SignMessage[] = []
  await messagesOn('countersign:sign', messages, action)
  return messages
}

/** Returns the messages about renewals that end while an action runs. */
export async function renewalsOf(action: () => unknown): Promise<TokenMessage[]> {
  const messages: TokenMessage[] = []
  await messagesOn('countersign:token', messages, action)
  return messages
}

/** A clock that the test advances. */
export interface Clock {
  readonly now: () => number
  advance(seconds: number): void
}

export function startClock(): Clock {
  let time = Date.now()
  return {
    now: () => time,
    advance(seconds) {
      time += seconds * 1000
    },
  }
}

/**
 * Expects delays that double from one second to a minute, each shortened by up to half.
 *
 * @param seconds - the whole seconds at which there was an attempt.
 */
export function expectBackoff(seconds: readonly number[]): void {
  for (const [index, second] of seconds.slice(1).entries()) {
    const longest = Math.min(60, 2 ** index)
    const pause = second - (seconds[index] ?? 0)
    expect(pause).toBeGreaterThanOrEqual(Math.ceil(longest / 2))
    expect(pause).toBeLessThanOrEqual(longest)
  }
}

/** Polls a condition for two seconds. */
export async function until(happened: () => boolean): Promise<void> {
  for (let turn = 0; turn < 400; turn += 1) {
    if (happened()) return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  throw new Error('the condition was not met within two seconds')
}
