import { constants, type KeyObject, verify } from 'node:crypto'
import type { Signer } from '@countersign/core'
import { expect } from 'vitest'
import { input, textOf } from '../clouds/fixtures.ts'
import { until } from '../support/until.js'
import { atOnceSeconds, type Expectation } from './expectation.ts'

/** The forms in which a request could contain the signing input. */
const signed = [String(input), input.toString('base64'), input.toString('base64url')]

const reason = { why: 'the caller changed its mind' }

export interface Attempt {
  readonly outcome: PromiseSettledResult<unknown>
  readonly seconds: number
}

/** Makes an attempt. If an abort is expected, it aborts as soon as the service has received a call. */
export async function attempt(
  { code }: Expectation<never>,
  make: (options: { readonly signal?: AbortSignal }) => Promise<unknown>,
  isCalled: () => boolean,
): Promise<Attempt> {
  const controller = new AbortController()
  const started = performance.now()
  const settling = Promise.allSettled([
    make(code === 'reason' ? { signal: controller.signal } : {}),
  ])
  if (code === 'reason') {
    await until(isCalled)
    controller.abort(reason)
  }
  const [outcome] = await settling
  return { outcome, seconds: (performance.now() - started) / 1000 }
}

/** The `timeoutSeconds` of a signer: short if the failure lasts until the deadline. */
export function deadlineOf({ ends }: Expectation<never>): number {
  return ends === 'at the deadline' ? 1 : 10
}

export function expectTime(seconds: number, expected: Expectation<never>): void {
  if (expected.ends === 'at once') expect(seconds).toBeLessThan(atOnceSeconds)
  else if (expected.ends === 'after retries') expect(seconds).toBeLessThan(deadlineOf(expected))
  else expect(seconds).toBeLessThan(deadlineOf(expected) + 1)
}

/** The exact number of calls is that of the workspace's SDK; other releases may retry differently. */
export function expectCalls(
  made: number,
  calls: Expectation<never>['calls'],
  { isWorkspaceSdk }: { readonly isWorkspaceSdk: boolean },
): void {
  if (calls === 'many') expect(made).toBeGreaterThan(1)
  else if (isWorkspaceSdk || calls === 0) expect(made).toBe(calls)
  else expect(made).toBeGreaterThan(0)
}

export function expectRefusal(
  outcome: PromiseSettledResult<unknown>,
  { code, retryable, says }: Expectation<never>,
  { backend, secrets }: { readonly backend: string; readonly secrets: readonly string[] },
): void {
  if (outcome.status === 'fulfilled') throw new Error('the attempt did not fail')
  if (code === 'reason') {
    expect(outcome.reason).toBe(reason)
    return
  }
  expect(outcome.reason).toMatchObject({ code, retryable, backend })
  expect(outcome.reason.message).toMatch(says)
  expectNoSecret(outcome.reason, { secrets })
}

/** Expects neither a credential nor the signing input in anything that can be reached from a value. */
export function expectNoSecret(
  value: unknown,
  { secrets }: { readonly secrets: readonly string[] },
): void {
  const text = textOf(value)
  for (const secret of [...secrets, ...signed]) expect(text).not.toContain(secret)
}

/** Expects, by node:crypto alone, a signature over {@link input} by this key, and a signer that publishes this key. */
export function expectSignature(signer: Signer, publicKey: KeyObject, signature: unknown): void {
  expect(signer.publicJwk).toMatchObject(publicKey.export({ format: 'jwk' }))
  expect(signer.publicJwk).not.toHaveProperty('d')
  const padding = signer.alg.startsWith('PS')
    ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
    : { dsaEncoding: 'ieee-p1363' as const }
  const key = { key: publicKey, ...padding }
  expect(verify(`sha${signer.alg.slice(2)}`, input, key, signature as Uint8Array)).toBe(true)
}
