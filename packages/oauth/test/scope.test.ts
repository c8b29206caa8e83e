import { limitScope, uniteScopes } from '@countersign/oauth/internal'
import { describe, expect, it } from 'vitest'

const values = (count: number) => Array.from({ length: count }, (_, value) => `v${value}`).join(' ')

describe('scopes', () => {
  it('are united without repetition, in the order of their first appearance', () => {
    expect(uniteScopes('b a', undefined, 'c  b', '')).toBe('b a c')
    expect(uniteScopes(undefined, '', ' ')).toBeUndefined()
  })

  it('are limited to the allowed values', () => {
    expect(limitScope('read write read', undefined)).toBe('read write')
    expect(limitScope('read write delete', 'write read')).toBe('read write')
    expect(limitScope('read', '')).toBeUndefined()
    expect(limitScope(undefined, 'read')).toBeUndefined()
  })

  it('have at most 100 values and 4,096 octets, or none is requested', () => {
    expect(limitScope(values(100), undefined)).toBe(values(100))
    expect(limitScope(values(101), undefined)).toBeUndefined()
    expect(limitScope('x'.repeat(4096), undefined)).toBe('x'.repeat(4096))
    expect(limitScope('x'.repeat(4097), undefined)).toBeUndefined()
  })
})
