import type { KeyObject } from 'node:crypto'
import diagnostics from 'node:diagnostics_channel'
import type { Signer } from '@countersign/core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { input } from '../clouds/fixtures.ts'
import { watchConnections } from '../support/connections.js'
import {
  type Attempt,
  attempt,
  deadlineOf,
  expectCalls,
  expectNoSecret,
  expectRefusal,
  expectSignature,
  expectTime,
} from './assertions.ts'
import type { Expectation, FaultTable } from './expectation.ts'
import { type FaultName, type FaultScope, faults } from './faults.ts'

/** A key service on loopback in which faults can be injected. */
export interface FaultyService<Target> {
  readonly backend: string
  /** Credentials that must not be in any signer, error or diagnostics message. */
  readonly secrets: readonly string[]
  /** Whether the SDK is that of this workspace. The retries in the matrix are those of that release. */
  readonly isWorkspaceSdk: boolean
  createKey(expected: Pick<Expectation<Target>, 'alg' | 'byAlias'>): FaultyKey<Target>
  /** The calls that reached the service since the last {@link reset}. */
  calls(): readonly ('list' | 'key' | 'signature')[]
  /** Removes all faults and recorded calls. */
  reset(): void
  close(): Promise<void>
}

/** A key for one test. */
export interface FaultyKey<Target> {
  readonly target: Target
  /** The public key of the version that must sign. */
  readonly publicKey: KeyObject
  open(options: OpenOptions): Promise<Signer>
}

export interface OpenOptions {
  readonly timeoutSeconds: number
  /** Whether the SDK may retry; true by default. */
  readonly retries?: boolean
  readonly signal?: AbortSignal
}

/**
 * Tests every expectation of a backend, at every call that the fault can affect, and that no secret is in a signer, an
 * error or a diagnostics message. docs/fault-matrix.md shows the same expectations.
 */
export function testFaults<Target>(
  title: string,
  table: FaultTable<Target>,
  start: () => Promise<FaultyService<Target>>,
): void {
  describe(title, () => {
    let service: FaultyService<Target>
    const connections = watchConnections()
    const messages: unknown[] = []
    const record = (message: unknown) => void messages.push(message)
    beforeAll(async () => {
      diagnostics.subscribe('countersign:sign', record)
      service = await start()
      const key = service.createKey({ alg: 'ES256', byAlias: false })
      // Loading the SDK and creating its first client are slow.
      expectNoSecret(await key.open({ timeoutSeconds: 60 }), service)
      expect(messages).toHaveLength(1)
    })
    afterEach(() => {
      service.reset()
      expectNoSecret(messages.splice(0), service)
    })
    afterAll(async () => {
      diagnostics.unsubscribe('countersign:sign', record)
      await service.close()
      const abroad = connections.abroad()
      connections.stop()
      expect(abroad).toEqual([])
    })

    const countOf = (kind: 'key' | 'signature') =>
      service.calls().filter((one) => one === kind).length

    for (const fault of Object.keys(faults) as FaultName[]) {
      const expected = table[fault]
      if (expected === undefined) continue
      describe(fault, () => testFault(fault, expected))
    }

    function testFault(fault: FaultName, expected: Expectation<Target>): void {
      const { code, calls } = expected
      const result = code === 'signs' ? 'changes nothing' : `is ${code}`
      const timeoutSeconds = deadlineOf(expected)
      const affects = (...scopes: FaultScope[]) => scopes.includes(faults[fault])

      /** Makes a key, and a function that injects the fault. */
      function prepare() {
        const key = service.createKey(expected)
        return {
          ...key,
          inject(on: 'key' | 'signature', times?: number) {
            service.reset()
            expected.inject(key.target, { on, times })
          },
        }
      }

      async function expectFailure(running: Promise<Attempt>): Promise<void> {
        const { outcome, seconds } = await running
        expectTime(seconds, expected)
        expectRefusal(outcome, expected, service)
      }

      if (affects('call', 'signature', 'state')) {
        test(`${result} at a signature, after ${calls} calls`, async () => {
          const { publicKey, open, inject } = prepare()
          const signer = await open({ timeoutSeconds })
          inject('signature')
          const signing = attempt(
            expected,
            (options) => signer.sign(input, options),
            () => countOf('signature') > 0,
          )
          if (code === 'signs') {
            expectSignature(signer, publicKey, await signing.then(fulfilled))
          } else await expectFailure(signing)
          expect(service.calls()).toEqual(service.calls().map(() => 'signature'))
          expectCalls(service.calls().length, calls, service)
          if (affects('state')) return
          service.reset()
          expectSignature(signer, publicKey, await signer.sign(input))
        })
      }

      // A connection that does not speak HTTP/2 makes the key unreadable as well.
      if (affects('call', 'signature') && code !== 'signs' && calls !== 0) {
        test(`${result} at the trial signature of a load`, async () => {
          const { open, inject } = prepare()
          inject('signature')
          await expectFailure(
            attempt(
              expected,
              (options) => open({ timeoutSeconds, ...options }),
              () => countOf('signature') > 0,
            ),
          )
          expect(countOf('key')).toBe(1)
          expectCalls(countOf('signature'), calls, service)
        })
      }

      if (affects('call', 'key')) {
        test(`${result} when the key is read, after ${calls} calls`, async () => {
          const { publicKey, open, inject } = prepare()
          inject('key')
          const loading = attempt(
            expected,
            (options) => open({ timeoutSeconds, ...options }),
            () => service.calls().length > 0,
          )
          if (code !== 'signs') await expectFailure(loading)
          const made = service.calls().length
          if (code === 'signs') {
            const signer = (await loading.then(fulfilled)) as Signer
            expectSignature(signer, publicKey, await signer.sign(input))
            expectCalls(service.calls().length - 1, calls, service)
          } else expectCalls(made, calls, service)
        })
      }

      if (affects('state') && code !== 'signs' && fault !== 'key replaced under its name') {
        test(`${result} at a later load, and no call is repeated`, async () => {
          const { open, inject } = prepare()
          inject('key')
          await expectFailure(
            attempt(
              expected,
              () => open({ timeoutSeconds }),
              () => true,
            ),
          )
          expect(new Set(service.calls()).size).toBe(service.calls().length)
        })
      }

      if (affects('call') && (calls === 'many' || calls > 1)) {
        test('reaches the service once if the SDK may not retry: the signer does not retry', async () => {
          const { open, inject } = prepare()
          const signer = await open({ timeoutSeconds: 10, retries: false })
          inject('signature')
          const { outcome } = await attempt(
            expected,
            () => signer.sign(input),
            () => true,
          )
          expectRefusal(outcome, expected, service)
          expect(service.calls()).toEqual(['signature'])
        })

        test('does not fail a signature if a retry of the SDK succeeds', async () => {
          const { publicKey, open, inject } = prepare()
          const signer = await open({ timeoutSeconds: 10 })
          if (!service.isWorkspaceSdk) return
          inject('signature', 1)
          expectSignature(signer, publicKey, await signer.sign(input))
          expect(service.calls()).toEqual(['signature', 'signature'])
        })
      }
    }
  })
}

/** The value of an attempt that must succeed. */
function fulfilled({ outcome }: Attempt): unknown {
  if (outcome.status === 'rejected') throw outcome.reason
  return outcome.value
}
