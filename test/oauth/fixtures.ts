import { generateKeyPairSync } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Signer, SignMessage } from '@countersign/core'
import { localSigner } from '@countersign/local'
import {
  OAuthError,
  privateKeyJwt,
  type TokenMessage,
  type TokenSource,
  type TokenSourceOptions,
  tokenSource,
} from '@countersign/oauth'
import { expect, onTestFinished } from 'vitest'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import type { Script, ScriptedServer } from '../servers/scripted-server.js'
import { tokenResponse } from '../servers/token-responses.js'

/** Closes something when the running test is over. */
export function closing<T extends { close(): Promise<void> }>(closable: T): T {
  onTestFinished(() => closable.close())
  return closable
}

/** A signer with a fresh P-256 key. */
export function es256Signer(): Promise<Signer> {
  return localSigner({ key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey })
}

/** What an action throws or rejects with; fails when it does neither. */
export async function thrown(action: () => unknown): Promise<unknown> {
  try {
    await action()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

/** The {@link OAuthError} that an action fails with. */
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

/** The signatures that are made while an action runs. */
export async function signaturesOf(action: () => unknown): Promise<SignMessage[]> {
  const messages: SignMessage[] = []
  await messagesOn('countersign:sign', messages, action)
  return messages
}

/** The renewals that end while an action runs. */
export async function renewalsOf(action: () => unknown): Promise<TokenMessage[]> {
  const messages: TokenMessage[] = []
  await messagesOn('countersign:token', messages, action)
  return messages
}

/** A clock that moves when it is told to. */
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

/** Hands out `token-1`, `token-2` and so on, with these members instead of the usual. */
export function numberedTokens(members: Record<string, unknown> = {}): Script {
  let issued = 0
  return () => {
    issued += 1
    return tokenResponse({ access_token: `token-${issued}`, ...members })
  }
}

/** A token source before a scripted authorization server. */
export interface Scene {
  readonly source: TokenSource
  readonly as: ScriptedServer
  readonly clock: Clock
  /** What arrived at the token endpoint. */
  tokenRequests(): URLSearchParams[]
}

export async function startScene(
  token: Script = numberedTokens(),
  options: Partial<TokenSourceOptions> = {},
): Promise<Scene> {
  const as = closing(await startScriptedAuthorizationServer({ token }))
  const clock = startClock()
  const source = tokenSource({
    issuer: as.url,
    clientId: 'agent',
    authentication: options.authentication ?? privateKeyJwt(await es256Signer()),
    now: clock.now,
    ...options,
  })
  const tokenRequests = () =>
    as.requests.filter(({ path }) => path === '/token').map(({ form }) => form)
  return { source, as, clock, tokenRequests }
}

/** The claims of the assertion in a token request. */
export function claimsOf(form: URLSearchParams | undefined): Record<string, unknown> {
  const payload = form?.get('client_assertion')?.split('.')[1] ?? ''
  return JSON.parse(Buffer.from(payload, 'base64url').toString())
}

/**
 * Expects that each pause is twice as long as the one before, from one second to a minute, each cut by up to half.
 *
 * @param seconds - the whole seconds at which something was tried.
 */
export function expectBackoff(seconds: readonly number[]): void {
  for (const [index, second] of seconds.slice(1).entries()) {
    const longest = Math.min(60, 2 ** index)
    const pause = second - (seconds[index] ?? 0)
    expect(pause).toBeGreaterThanOrEqual(Math.ceil(longest / 2))
    expect(pause).toBeLessThanOrEqual(longest)
  }
}

/** Waits for something that no promise tells of. */
export async function until(happened: () => boolean): Promise<void> {
  for (let turn = 0; turn < 400; turn += 1) {
    if (happened()) return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  throw new Error('it did not happen')
}
