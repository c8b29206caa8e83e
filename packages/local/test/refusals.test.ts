import { localSigner } from '@countersign/local'
import { describe, expect, it } from 'vitest'
import { refusal, thrown } from '../../core/test/outcome.ts'
import { refused } from './refused.ts'

describe('a key that cannot be used is refused at load', () => {
  it.each(refused)('with $code: $name', async ({ options, code, says }) => {
    if (code === 'TypeError') {
      const error = await thrown(() => localSigner(options))
      expect(error).toBeInstanceOf(TypeError)
      expect((error as Error).message).toMatch(says)
      return
    }
    const error = await refusal(() => localSigner(options))
    expect(error.code).toBe(code)
    expect(error.message).toMatch(says)
    expect(error.backend).toBe('local')
    expect(error.retryable).toBe(false)
  })

  it('and the factory rejects, it does not throw', () => {
    const promise = localSigner(undefined as never)
    return expect(promise).rejects.toThrow(TypeError)
  })
})
