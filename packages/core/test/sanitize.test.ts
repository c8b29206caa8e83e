import { inspect } from 'node:util'
import { sanitize, sanitizeError, sanitizeValue } from '@countersign/core/backend'
import { describe, expect, it } from 'vitest'

describe('text of a server in a message', () => {
  it('keeps letters of all scripts, and nothing that steers a terminal or reorders text', () => {
    expect(sanitize('Zugriff für „Müller“ verweigert: 拒否')).toBe(
      'Zugriff für „Müller“ verweigert: 拒否',
    )
    const steering = [
      ...Array.from({ length: 32 }, (_, code) => String.fromCharCode(code)),
      ...Array.from({ length: 33 }, (_, code) => String.fromCharCode(127 + code)),
      ...['\u061c', '\u200b', '\u200e', '\u200f', '\u2028', '\u2029', '\u202a', '\u202e'],
      ...['\u2060', '\u2066', '\u2069', '\ufeff', '\ud800', '\udc00', '\ue000', '\u{e0001}'],
    ]
    for (const character of steering) {
      expect(sanitize(`a${character}b`)).toMatch(/^a +b$/)
    }
    expect(sanitize('\u001b]0;title\u0007\u001b[2J')).toBe(' ]0;title  [2J')
  })

  it('is at most 500 characters long, however long it was', () => {
    expect(sanitize('x'.repeat(800_266))).toBe(`${'x'.repeat(500)}…`)
    expect(sanitize('x'.repeat(500))).toHaveLength(500)
    expect(sanitizeValue(['https://as.example.com/'.repeat(40_000)])).toHaveLength(501)
    expect(sanitize(`${'x'.repeat(499)}\u{1f511}`)).toBe(`${'x'.repeat(499)} …`)
  })

  it('repeats no secret, the longer one first, not even where it is cut', () => {
    expect(sanitize('got s3cret-long and s3cret', ['s3cret', '', 's3cret-long'])).toBe(
      'got [redacted] and [redacted]',
    )
    expect(sanitize(`${'x'.repeat(497)}s3cret`, ['s3cret'])).not.toMatch(/s3/)
  })

  it('may be any value, even one that has no JSON', () => {
    let nested: unknown = 'x'
    for (let depth = 0; depth < 100_000; depth++) nested = [nested]
    // Node.js 26 writes any depth.
    expect(sanitizeValue(nested)).toMatch(/^(?:a value that cannot be shown|\[{500}…)$/)
    expect(sanitizeValue(1n)).toBe('a value that cannot be shown')
    expect(sanitizeValue(undefined)).toBe('nothing')
    expect(sanitizeValue({ issuer: 'https://\u202eevil' })).toBe('{"issuer":"https:// evil"}')
  })
})

describe("an error of a service's SDK", () => {
  const hostile = `\u001b[2J\u202e${'x\n    at evil'.repeat(80_000)}`

  it('is short and clean in a log, with its causes, and keeps its place in the code', () => {
    const cause = Object.assign(new Error(hostile), { details: hostile, code: 14 })
    const error = new TypeError(`bad answer: ${hostile}`, { cause })
    sanitizeError(error)
    expect(error.message).toHaveLength(501)
    expect(cause).toMatchObject({ code: 14, details: sanitize(hostile) })
    const shown = inspect(error)
    expect(shown).toMatch(/^TypeError: bad answer: {2}\[2J x/)
    expect(shown).toContain('sanitize.test.ts')
    expect(shown.length).toBeLessThan(20_000)
    expect(shown.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u)
  })

  it('may be none, be frozen, or be its own cause', () => {
    const error = new Error('short')
    error.cause = error
    for (const value of [error, Object.freeze(new Error(hostile)), undefined, null, 'text', {}]) {
      expect(() => sanitizeError(value)).not.toThrow()
    }
    expect(error.message).toBe('short')
  })
})
