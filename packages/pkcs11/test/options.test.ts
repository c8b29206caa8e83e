import { resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkOptions, type Pkcs11SignerOptions } from '../src/options.ts'
import { pkcs11Signer } from '../src/signer.ts'

const good = {
  module: '/usr/lib/softhsm/libsofthsm2.so',
  token: { label: 'a token' },
  key: { label: 'a key' },
  pin: 'not-a-pin-anywhere',
}

describe('an option of the wrong type is a TypeError, before anything is started', () => {
  test.each([
    ['module', ''],
    ['module', 7],
    ['token', undefined],
    ['token', {}],
    ['token', { label: 7 }],
    ['token', { serial: 7 }],
    ['token', { manufacturer: 'a manufacturer', model: 'a model' }],
    ['token', { label: 'a token', manufacturer: 7 }],
    ['token', { label: 'a token', model: 7 }],
    ['token', { slot: -1 }],
    ['token', { slot: '0' }],
    ['key', undefined],
    ['key', {}],
    ['key', { label: 7 }],
    ['key', { id: '0' }],
    ['key', { id: 'xy' }],
    ['key', { id: '' }],
    ['key', { id: 7 }],
    ['pin', 1234],
    ['pin', Buffer.from('1234')],
    ['libraryParameters', 7],
    ['sessions', 0],
    ['sessions', 65],
    ['sessions', 1.5],
    ['sessions', '4'],
    ['timeoutSeconds', 0],
    ['timeoutSeconds', Number.NaN],
    ['timeoutSeconds', 601],
    ['timeoutSeconds', '10'],
    ['signal', {}],
    ['env', 'VENDOR_CONF'],
    ['env', ['VENDOR_CONF=/etc/vendor.conf']],
    ['env', ['']],
    ['env', ['A*B']],
    ['env', [7]],
    ['isolate', 'no'],
    ['allowFinalPinTry', 1],
  ])('%s: %j', async (option, value) => {
    const options = { ...good, [option]: value } as unknown as Pkcs11SignerOptions
    const refusal = await pkcs11Signer(options).catch((error) => error)
    expect(refusal).toBeInstanceOf(TypeError)
    expect(refusal.message).toContain(`"${option}`)
    expect(refusal.message).not.toContain(good.pin)
    expect(refusal.message).not.toContain('/etc/vendor.conf')
  })
})

test('a relative path stays the same file when the process moves, a bare name is left to the loader', () => {
  expect(checkOptions({ ...good, module: './lib/m.so' }).connection.location.module).toBe(
    resolve('lib/m.so'),
  )
  expect(checkOptions({ ...good, module: 'm.so' }).connection.location.module).toBe('m.so')
})

test('an ID is the same in octets, in small and in capital letters', () => {
  for (const id of [Uint8Array.of(0xab, 1), 'ab01', 'AB01']) {
    expect(checkOptions({ ...good, key: { id } }).selector).toEqual({
      label: undefined,
      id: 'ab01',
    })
  }
})
