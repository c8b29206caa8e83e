import nodeCrypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import type { Signer } from '@countersign/core'
import { rawToDer } from '@countersign/core/der'
import { checkSigner } from '@countersign/testkit'
import { describe, expect, test, vi } from 'vitest'
import { checkNames } from '../src/violations.ts'
import { faults } from './faults/all.ts'
import { acceptsSmallOrder } from './faults/signature.ts'
import { frozen, handWritten, keyPair } from './hand-written.ts'

describe('a fault fails exactly its own check', () => {
  test.each(faults.map((fault) => [fault.check, fault.that, fault] as const))(
    '%s: a signer that %s',
    async (check, _, { factory, options }) => {
      const violations = await checkSigner(factory as () => Signer, options)
      expect(violations.map((violation) => violation.check)).toEqual([check])
    },
  )

  test.each(['always says yes', 'always says no'])(
    'verifier: a runtime whose verification %s',
    async (answer) => {
      const pair = keyPair('ES256')
      const runtime: { verify: () => boolean } = nodeCrypto as never
      const broken = vi.spyOn(runtime, 'verify').mockReturnValue(answer === 'always says yes')
      syncBuiltinESMExports()
      try {
        const violations = await checkSigner(() => frozen(handWritten('ES256', pair)))
        expect(violations.map(({ check }) => check)).toEqual(['verifier'])
      } finally {
        broken.mockRestore()
        syncBuiltinESMExports()
      }
    },
  )

  test('there is a fault for each check', () => {
    const tested = new Set(['verifier', ...faults.map(({ check }) => check)])
    if (!acceptsSmallOrder) tested.add('signature-binds-input')
    expect([...tested].sort()).toEqual([...checkNames].sort())
  })
})

test('independent faults are all reported', async () => {
  const pair = keyPair('ES256')
  const violations = await checkSigner(() => {
    const { sign, ...good } = handWritten('ES256', pair)
    return { ...good, sign: async (input) => rawToDer(await sign(input), 'ES256') }
  })
  expect(violations.map(({ check }) => check)).toEqual([
    'signer-frozen',
    'ecdsa-raw',
    'aborted-before-call',
  ])
})

test('a violation says what was found and what was expected, and keeps the error as its cause', async () => {
  const [fault] = faults.filter(({ that }) => that.includes('names it wrongly'))
  expect(await checkSigner(fault?.factory as () => Signer)).toEqual([
    {
      check: 'large-input',
      message:
        'an input of 65536 octets was refused with ERR_SIGNER_BACKEND; sign it, or refuse it with ERR_SIGNER_KEY_UNSUPPORTED',
      cause: expect.objectContaining({ code: 'ERR_SIGNER_BACKEND' }),
    },
  ])
})

test('a violation repeats nothing that the signer’s error says', async () => {
  const secret = 'PIN 271828'
  const violations = await checkSigner(() => Promise.reject(new Error(secret)))
  expect(violations).toHaveLength(1)
  expect(violations[0]?.message).not.toContain(secret)
  expect(violations[0]?.cause).toEqual(new Error(secret))
})
