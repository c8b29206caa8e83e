import { inspect } from 'node:util'
import { SignerError } from '@countersign/core'
import { formatKeyUri, type KeyUri, parseKeyUri } from '@countersign/uri'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { forms } from './forms.ts'
import { refused } from './refused.ts'

/** The parsed key URI, or the refusal. Any other error is thrown. */
function outcome(uri: string): KeyUri | SignerError {
  try {
    return parseKeyUri(uri)
  } catch (error) {
    if (error instanceof SignerError && error.code === 'ERR_SIGNER_CONFIG') return error
    throw error
  }
}

const right = forms.map(({ uri }) => uri)
const wrong = refused.map(([uri]) => uri)
const piece = fc.oneof(
  fc.constantFrom(..."%:/?#[]@!$&'()*+,;=|\\.-_~ \n\0é"),
  fc.constantFrom(
    ...['alg=', 'RS256', 'kid=', 'id=', 'token=', 'object=', 'module-path=/', 'pin-value='],
    ...['pin-source=', 'file:', 'env:', '%2F', '%2e', '%00', '%ff', '%25', '..', '///', 'arn:aws:'],
  ),
  fc.string({ unit: 'binary', maxLength: 6 }),
)

/** A valid or invalid URI in which some parts were replaced. */
const mutated = fc
  .tuple(
    fc.oneof(fc.constantFrom(...right), fc.constantFrom(...wrong)),
    fc.array(fc.tuple(fc.nat(200), fc.nat(12), fc.array(piece, { maxLength: 3 })), {
      maxLength: 4,
    }),
  )
  .map(([uri, edits]) =>
    edits.reduce((text, [at, length, put]) => {
      const start = at % (text.length + 1)
      return `${text.slice(0, start)}${put.join('')}${text.slice(start + length)}`
    }, uri),
  )

const anything = fc.oneof(
  mutated,
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc
    .tuple(
      fc.constantFrom('file:', 'awskms:', 'gcpkms:', 'azurekms:', 'pkcs11:'),
      fc.array(piece, { maxLength: 30 }),
    )
    .map(([scheme, pieces]) => scheme + pieces.join('')),
)

const withoutPin = (uri: KeyUri): object => {
  if (uri.scheme !== 'pkcs11' || uri.pin?.from !== 'value') return uri
  const { pin: _, ...rest } = uri
  return rest
}

describe('any string given as a key URI', () => {
  it('is parsed or refused with a SignerError, and a parsed one survives a round trip', () => {
    let read = 0
    fc.assert(
      fc.property(anything, (uri) => {
        const found = outcome(uri)
        if (found instanceof SignerError) return
        read++
        const written = formatKeyUri(found)
        expect(parseKeyUri(written)).toEqual(withoutPin(found))
        expect(formatKeyUri(parseKeyUri(written))).toBe(written)
      }),
      { numRuns: 20_000 },
    )
    // Otherwise no mutation was valid, and the test proves nothing.
    expect(read).toBeGreaterThan(500)
  })

  it('names the file from whose path it was written', () => {
    const isName = (name: string) => !['', '.', '..'].includes(name) && !/[\p{Cc}/]/u.test(name)
    const names = fc.array(fc.string({ unit: 'grapheme', maxLength: 12 }).filter(isName), {
      minLength: 1,
      maxLength: 4,
    })
    fc.assert(
      fc.property(names, (names) => {
        const uri = { scheme: 'file', path: `/${names.join('/')}` } as const
        expect(parseKeyUri(formatKeyUri(uri))).toEqual(uri)
      }),
      { numRuns: 2_000 },
    )
  })

  it('shows no part of a PIN, wherever the PIN is in it', () => {
    // No message has five of these characters in a row, so a match is not an accident.
    const alphabet = 'QXZqxz45678&;=%#?@| \n'
    const width = 5
    for (const uri of wrong) {
      expect(String(outcome(uri))).not.toMatch(new RegExp(`[${alphabet}]{${width}}`))
    }
    const pin = fc
      .array(fc.constantFrom(...alphabet), { minLength: width, maxLength: 24 })
      .map((characters) => characters.join(''))
    const place = fc.constantFrom(
      (pin: string) => `pkcs11:token=t;object=k?module-path=/m&pin-value=${pin}`,
      (pin: string) => `pkcs11:token=t;object=k?pin-value=${pin}&module-path=/m`,
      (pin: string) => `pkcs11:token=t;object=k?module-path=/m&pin-source=${pin}`,
      (pin: string) => `pkcs11:token=t;object=k;pin-value=${pin}?module-path=/m`,
      (pin: string) => `pkcs11:pin-value=${pin}`,
      (pin: string) => `awskms://${pin}@host/alias/agent`,
      (pin: string) => `file:///k?kid=${pin}&alg=${pin}`,
      (pin: string) => pin,
    )
    let read = 0
    fc.assert(
      fc.property(pin, place, (pin, put) => {
        const found = outcome(put(pin))
        const isRead = !(found instanceof SignerError)
        if (isRead && (found.scheme !== 'pkcs11' || found.pin?.from !== 'value')) return
        if (isRead) read++
        const shown = isRead
          ? [inspect(found, { depth: Infinity, showHidden: true }), formatKeyUri(found)]
          : [String(found), found.stack?.replace(/\n +at .*/g, '')]
        const all = [...shown, JSON.stringify(found)].join()
        for (let start = 0; start + width <= pin.length; start++) {
          expect(all).not.toContain(pin.slice(start, start + width))
        }
      }),
      { numRuns: 10_000 },
    )
    expect(read).toBeGreaterThan(20)
  })

  it.each([
    ['slashes', 'file:', '/'],
    ['segments', 'file://', '/a'],
    ['escapes', 'file:///', '%41'],
    ['bad escapes', 'file:///', '%'],
    ['attributes', 'file:///k?alg=RS256', '&x=1'],
    ['ampersands', 'file:///k?kid=1', '&'],
    ['letters of an alias', 'awskms:///alias/', 'a/'],
    ['parts of an ARN', 'awskms:///arn:aws:kms:a:', '1:'],
    ['parts of a name', 'gcpkms://projects/p', '/locations/l'],
    [
      'labels of an endpoint',
      'gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1?endpoint=https://a',
      '.a',
    ],
    [
      'letters of an endpoint',
      'gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1?endpoint=https://',
      'a',
    ],
    ['labels of a host', 'azurekms://a', '.vault'],
    ['octets of an ID', 'pkcs11:token=t;id=', '%01'],
    ['semicolons', 'pkcs11:', ';'],
    ['empty attributes', 'pkcs11:token=t', ';='],
    ['digits', 'pkcs11:object=k;slot-id=', '9'],
    ['question marks', 'pkcs11:', '?'],
    ['colons', '', ':'],
    ['characters that URIs do not have', 'file:///', 'é'],
  ])('is handled in time that is linear in its length: a million %s', (_what, start, repeated) => {
    const uri = start + repeated.repeat(1_000_000)
    const before = performance.now()
    outcome(uri)
    expect(performance.now() - before).toBeLessThan(5_000)
  })
})
