import { constants, type KeyObject, verify } from 'node:crypto'
import type { Signer } from '@countersign/core'
import { expect } from 'vitest'
import { until } from '../support/until.js'
import { atOnceSeconds, type Calls, type Cell } from './cell.js'
import type { Stage } from './stage.ts'

export const input: Uint8Array = Buffer.from('what is signed here')

/** What an abort of these tests has as its reason. */
const reason = { why: 'the caller changed his mind' }

export interface Attempt {
  readonly outcome: PromiseSettledResult<unknown>
  readonly seconds: number
}

/** Makes an attempt and, where the cell is of an abort, aborts it as soon as the service was asked. */
export async function attempt(
  { code }: Cell<never>,
  make: (options: { readonly signal?: AbortSignal }) => Promise<unknown>,
  isAsked: () => boolean,
): Promise<Attempt> {
  const controller = new AbortController()
  const started = performance.now()
  const settling = Promise.allSettled([
    make(code === 'reason' ? { signal: controller.signal } : {}),
  ])
  if (code === 'reason') {
    await until(isAsked)
    controller.abort(reason)
  }
  const [outcome] = await settling
  return { outcome, seconds: (performance.now() - started) / 1000 }
}

/** Seconds that a signer is given: few where it takes all of them. */
export function deadlineOf({ ends }: Cell<never>): number {
  return ends === 'at the deadline' ? 1 : 10
}

export function expectTime(seconds: number, cell: Cell<never>): void {
  if (cell.ends === 'at once') expect(seconds).toBeLessThan(atOnceSeconds)
  else if (cell.ends === 'after retries') expect(seconds).toBeLessThan(deadlineOf(cell))
  else expect(seconds).toBeLessThan(deadlineOf(cell) + 1)
}

/** How often an SDK asks again is told of the workspace's; one of another release has its own way. */
export function expectCalls(
  made: number,
  calls: Calls,
  { isUsualSdk }: Pick<Stage<never>, 'isUsualSdk'>,
): void {
  if (calls === 'many') expect(made).toBeGreaterThan(1)
  else if (isUsualSdk || calls === 0) expect(made).toBe(calls)
  else expect(made).toBeGreaterThan(0)
}

export function expectRefusal(
  outcome: PromiseSettledResult<unknown>,
  { code, retryable, says }: Cell<never>,
  { backend }: Pick<Stage<never>, 'backend'>,
): void {
  if (outcome.status === 'fulfilled') throw new Error('it was not refused')
  if (code === 'reason') {
    expect(outcome.reason).toBe(reason)
    return
  }
  expect(outcome.reason).toMatchObject({ code, retryable, backend })
  expect(outcome.reason.message).toMatch(says)
}

/** That a signature over {@link input} is one of a key, by node:crypto alone, and that the signer shows that key. */
export function expectSignature(signer: Signer, publicKey: KeyObject, signature: unknown): void {
  expect(signer.publicJwk).toMatchObject(publicKey.export({ format: 'jwk' }))
  expect(signer.publicJwk).not.toHaveProperty('d')
  const padding = signer.alg.startsWith('PS')
    ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
    : { dsaEncoding: 'ieee-p1363' as const }
  const key = { key: publicKey, ...padding }
  expect(verify(`sha${signer.alg.slice(2)}`, input, key, signature as Uint8Array)).toBe(true)
}
