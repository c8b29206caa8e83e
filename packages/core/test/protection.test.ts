import { createSigner } from '@countersign/core'
import { expect, it } from 'vitest'
import { backend } from './backend.ts'

it('a signer repeats how its key is kept where the backend says so, and says nothing otherwise', () => {
  expect(createSigner(backend('ES256', { protection: 'hsm' })).protection).toBe('hsm')
  for (const silent of [backend(), backend('ES256', { protection: undefined })]) {
    expect(Object.keys(createSigner(silent))).toEqual(['alg', 'kid', 'publicJwk', 'sign'])
  }
})
