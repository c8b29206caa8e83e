import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import {
  formatKeyUri,
  type KeyScheme,
  type KeyUri,
  parseKeyUri,
  signerFromUri,
} from '@countersign/uri'
import { describe, expect, it } from 'vitest'
import { readFilePath, writeFilePath } from '../src/file-path.ts'
import { forms } from './forms.ts'

const pinned = (pin: string) =>
  `pkcs11:token=t;object=k?module-path=/m.so&pin-value=${encodeURIComponent(pin)}&kid=x`

describe('a key URI', () => {
  it.each(forms)('is parsed as it is written: $uri', ({ uri, parsed }) => {
    expect({ ...parseKeyUri(uri) }).toStrictEqual(parsed)
  })

  it.each(forms)(
    'has one canonical form, which is parsed to the same: $uri',
    ({ uri, canonical, parsed }) => {
      const written = formatKeyUri(parseKeyUri(uri))
      expect(written).toBe(canonical ?? uri)
      expect({ ...parseKeyUri(written) }).toStrictEqual(parsed)
      expect(formatKeyUri(parseKeyUri(written))).toBe(written)
    },
  )

  it.each(forms)('is deeply frozen once parsed: $uri', ({ uri }) => {
    const frozen = (value: unknown): boolean =>
      typeof value !== 'object' ||
      value === null ||
      (Object.isFrozen(value) && Object.values(value).every(frozen))
    expect(frozen(parseKeyUri(uri))).toBe(true)
  })

  it('gets no attribute and no option from a polluted Object.prototype', async () => {
    const pollution = { region: 'CANARY', alg: 'CANARY', kid: 'CANARY', schemes: 'CANARY' }
    const opened: unknown[] = []
    const scheme: KeyScheme<{ key: string }> = {
      name: 'test',
      parse: ({ path, attributes }) => ({ key: path, ...attributes(['region']) }),
      format: ({ key }) => ({ path: key }),
      open: async ({ key, alg, kid }, { passphrase }) => {
        opened.push(key, alg, kid, passphrase)
        throw new Error('opened')
      },
    }
    try {
      Object.assign(Object.prototype, pollution, { passphrase: 'CANARY' })
      const uri = parseKeyUri('awskms:///alias/agent')
      expect(Object.entries(uri).flat()).not.toContain('CANARY')
      const options = Object.assign(Object.create(null), { schemes: [scheme] })
      await expect(signerFromUri('test:k', options)).rejects.toThrow('opened')
    } finally {
      for (const name of [...Object.keys(pollution), 'passphrase']) {
        Reflect.deleteProperty(Object.prototype, name)
      }
    }
    expect(opened).toEqual(['k', undefined, undefined, undefined])
  })

  it('is in the README in every form, and each of these is valid', () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
    const shown = [...readme.matchAll(/^\| `([a-z\d]+:[^`]+)`/gm)].map(([, uri = '']) => uri)
    const schemes = shown.map((uri) => parseKeyUri(uri).scheme)
    expect(new Set(schemes)).toEqual(new Set(forms.map(({ parsed }) => parsed.scheme)))
    for (const uri of shown) expect(formatKeyUri(parseKeyUri(uri))).toBe(uri)
  })
})

describe('formatKeyUri refuses', () => {
  it.each([undefined, null, 'file:///k', {}, { scheme: 'https' }])('%o', (uri) => {
    expect(() => formatKeyUri(uri as unknown as KeyUri)).toThrow(TypeError)
  })

  it('a relative path, which would be another file elsewhere', () => {
    expect(() => formatKeyUri({ scheme: 'file', path: 'key.pem' })).toThrow(
      new TypeError('"path" must be absolute'),
    )
  })
})

describe('a PIN in a key URI', () => {
  const uri = parseKeyUri(pinned('a PIN+%&;é'))

  it('is returned by reveal()', () => {
    expect(uri.scheme === 'pkcs11' && uri.pin?.from === 'value' && uri.pin.reveal()).toBe(
      'a PIN+%&;é',
    )
  })

  it('is shown neither by the parsed URI nor by its canonical form', () => {
    const shown = [
      inspect(uri, { depth: Infinity, showHidden: true }),
      JSON.stringify(uri),
      formatKeyUri(uri),
    ]
    expect(shown[2]).toBe('pkcs11:token=t;object=k?module-path=/m.so&kid=x')
    expect(shown.join()).not.toMatch(/PIN\+|PIN%2B/)
  })
})

describe('on Windows, the path of a file', () => {
  const path = (hierarchy: string) => readFilePath(hierarchy, 'The key URI', true)

  it('has its drive and backslashes, and is written with slashes', () => {
    expect(path('///C:/agent%20keys/Key.pem')).toBe('C:\\agent keys\\Key.pem')
    expect(writeFilePath('C:\\agent keys\\Key.pem', true)).toBe('file:///C:/agent%20keys/Key.pem')
  })

  it.each(['///agent/key.pem', '///C:/a%5Cb', '///1:/a'])('is refused: %s', (hierarchy) => {
    expect(() => path(hierarchy)).toThrow(/not valid on Windows; write file:\/\/\/C:\//)
  })

  it('of another machine is refused', () => {
    expect(() => path('//server/share/key.pem')).toThrow(/names a host/)
  })
})
