import { type Pkcs11Signer, pkcs11Signer } from '@countersign/pkcs11'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { createShim, type Shim } from '../support/shim.js'
import { createSoftHsm, type SoftHsm, type Token } from '../support/softhsm.js'
import { input, isSignatureOf, on } from './fixtures.ts'

let hsm: SoftHsm
let token: Token
let shim: Shim
let signer: Pkcs11Signer | undefined

const delay = 100

beforeAll(async () => {
  hsm = createSoftHsm()
  token = await hsm.createToken('quick')
  await token.generateKey({ type: 'EC:prime256v1', label: 'key' })
  shim = createShim(hsm)
})

afterEach(async () => {
  shim.forget()
  await signer?.close()
})

afterAll(() => hsm?.remove())

async function open(): Promise<Pkcs11Signer> {
  signer = await pkcs11Signer({ ...on(token, shim.module), key: { label: 'key' }, sessions: 4 })
  return signer
}

/** How long it takes to make so many signatures at once. */
async function millisecondsFor(count: number, { sign, ...published }: Pkcs11Signer) {
  const startedAt = performance.now()
  const signatures = await Promise.all(Array.from({ length: count }, () => sign(input)))
  const milliseconds = performance.now() - startedAt
  for (const signature of signatures) expect(isSignatureOf(published, signature)).toBe(true)
  return milliseconds
}

test('a key that is slow signs in as many sessions at once as there are', async () => {
  shim.set('C_Sign.delay', delay)
  const slow = await open()
  const milliseconds = await millisecondsFor(8, slow)
  expect(milliseconds).toBeGreaterThan(2 * delay)
  expect(milliseconds).toBeLessThan(5 * delay)
})

test('a key that was quick and becomes slow does so before long', async () => {
  const slower = await open()
  await millisecondsFor(50, slower)
  for (let count = 0; count < 20; count++) await slower.sign(input)
  shim.set('C_Sign.delay', delay)
  await millisecondsFor(4, slower)
  const milliseconds = await millisecondsFor(8, slower)
  expect(milliseconds).toBeGreaterThan(2 * delay)
  expect(milliseconds).toBeLessThan(5 * delay)
})
