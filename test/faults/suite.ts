import type { Signer } from '@countersign/core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { watchConnections } from '../support/connections.js'
import type { Cell, Cells } from './cell.js'
import {
  attempt,
  deadlineOf,
  expectCalls,
  expectRefusal,
  expectSignature,
  expectTime,
  input,
} from './expectations.ts'
import { type FaultName, faults } from './faults.js'
import type { Stage } from './stage.ts'

/**
 * Tests every cell that a backend has in the fault matrix, at every place that its fault can strike. The page shows the
 * cells that are asserted here.
 */
export function testFaults<Scene>(
  title: string,
  cells: Cells<Scene>,
  start: () => Promise<Stage<Scene>>,
): void {
  describe(title, () => {
    let stage: Stage<Scene>
    const connections = watchConnections()
    beforeAll(async () => {
      stage = await start()
      // The SDK takes its time to be loaded, and to make its first client.
      await stage.prepare({ alg: 'ES256', byAlias: false }).open({ timeoutSeconds: 60 })
    })
    afterEach(() => stage.mend())
    afterAll(async () => {
      await stage.close()
      const abroad = connections.abroad()
      connections.stop()
      expect(abroad).toEqual([])
    })

    const countOf = (kind: 'key' | 'signature') =>
      stage.calls().filter((one) => one === kind).length

    /** A key and, at once or later, its fault. */
    function prepare(cell: Cell<Scene>) {
      const staged = stage.prepare(cell)
      return {
        ...staged,
        plant(on: 'key' | 'signature', times?: number) {
          stage.mend()
          cell.plant(staged.scene, { on, times })
        },
      }
    }

    for (const fault of Object.keys(faults) as FaultName[]) {
      const cell = cells[fault]
      if (cell === undefined) continue
      const place = faults[fault]
      const { code, calls } = cell
      const what = code === 'signs' ? 'changes nothing' : `is ${code}`
      const timeoutSeconds = deadlineOf(cell)

      async function fails(making: ReturnType<typeof attempt>): Promise<void> {
        const { outcome, seconds } = await making
        expectTime(seconds, cell as Cell<Scene>)
        expectRefusal(outcome, cell as Cell<Scene>, stage)
      }

      describe(fault, () => {
        const strikes = (...places: (typeof place)[]) => places.includes(place)

        if (strikes('call', 'signature', 'state')) {
          test(`${what} at a signature, after ${calls} calls`, async () => {
            const { publicKey, open, plant } = prepare(cell)
            const signer = await open({ timeoutSeconds })
            plant('signature')
            const signing = attempt(
              cell,
              (options) => signer.sign(input, options),
              () => countOf('signature') > 0,
            )
            if (code === 'signs') {
              expectSignature(signer, publicKey, await signing.then(fulfilled))
            } else await fails(signing)
            expect(stage.calls()).toEqual(stage.calls().map(() => 'signature'))
            expectCalls(stage.calls().length, calls, stage)
            if (strikes('state')) return
            stage.mend()
            expectSignature(signer, publicKey, await signer.sign(input))
          })
        }

        // What is not HTTP/2 leaves nothing to load from, either.
        if (strikes('call', 'signature') && code !== 'signs' && calls !== 0) {
          test(`${what} at the trial signature of a load`, async () => {
            const { open, plant } = prepare(cell)
            plant('signature')
            await fails(
              attempt(
                cell,
                (options) => open({ timeoutSeconds, ...options }),
                () => countOf('signature') > 0,
              ),
            )
            expect(countOf('key')).toBe(1)
            expectCalls(countOf('signature'), calls, stage)
          })
        }

        if (strikes('call', 'key')) {
          test(`${what} when the key is read, after ${calls} calls`, async () => {
            const { publicKey, open, plant } = prepare(cell)
            plant('key')
            const loading = attempt(
              cell,
              (options) => open({ timeoutSeconds, ...options }),
              () => stage.calls().length > 0,
            )
            if (code !== 'signs') await fails(loading)
            const made = stage.calls().length
            if (code === 'signs') {
              const signer = (await loading.then(fulfilled)) as Signer
              expectSignature(signer, publicKey, await signer.sign(input))
              expectCalls(stage.calls().length - 1, calls, stage)
            } else expectCalls(made, calls, stage)
          })
        }

        if (strikes('state') && code !== 'signs' && fault !== 'key replaced under its name') {
          test(`${what} at a load that comes later, and nothing is asked twice`, async () => {
            const { open, plant } = prepare(cell)
            plant('key')
            await fails(
              attempt(
                cell,
                () => open({ timeoutSeconds }),
                () => true,
              ),
            )
            expect(new Set(stage.calls()).size).toBe(stage.calls().length)
          })
        }

        if (strikes('call') && (calls === 'many' || calls > 1)) {
          test('is met once where the SDK may not retry: no retry is ours', async () => {
            const { open, plant } = prepare(cell)
            const signer = await open({ timeoutSeconds: 10, retries: false })
            plant('signature')
            const { outcome } = await attempt(
              cell,
              () => signer.sign(input),
              () => true,
            )
            expectRefusal(outcome, cell, stage)
            expect(stage.calls()).toEqual(['signature'])
          })

          test('is got over by the SDK when it passes', async () => {
            const { publicKey, open, plant } = prepare(cell)
            const signer = await open({ timeoutSeconds: 10 })
            if (!stage.isUsualSdk) return
            plant('signature', 1)
            expectSignature(signer, publicKey, await signer.sign(input))
            expect(stage.calls()).toEqual(['signature', 'signature'])
          })
        }
      })
    }
  })
}

/** What an attempt came to that has to succeed. */
function fulfilled({ outcome }: Awaited<ReturnType<typeof attempt>>): unknown {
  if (outcome.status === 'rejected') throw outcome.reason
  return outcome.value
}
