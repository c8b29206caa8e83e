import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { StepResult } from '../../packages/cli/src/doctor/step.ts'
import { countersign } from '../cli/command.ts'
import { failedStep } from '../cli/doctor-fixtures.ts'
import { createShim, type Shim } from '../support/shim.js'
import { createSoftHsm, type SoftHsm, type Token } from '../support/softhsm.js'

const wrong = 'not-the-pin-of-any-token'

let hsm: SoftHsm
let token: Token
let shim: Shim

beforeAll(async () => {
  hsm = createSoftHsm()
  token = await hsm.createToken('doctor')
  await token.generateKey({ type: 'EC:prime256v1', label: 'agent' })
  shim = createShim(hsm)
})

afterAll(() => hsm?.remove())

/** Has a key on the token diagnosed; what comes behind it is plain http, and ends the line. */
async function diagnose(pin: string, object = 'agent') {
  const uri = `pkcs11:token=doctor;object=${object}?module-path=${shim.module}`
  const args = ['--key', uri, '--client-id', 'agent', '--issuer', 'http://as.invalid']
  const shimmed = {
    COUNTERSIGN_PKCS11_SHIM: '',
    COUNTERSIGN_PKCS11_SHIM_MODULE: '',
    ...process.env,
  }
  const { COUNTERSIGN_PKCS11_SHIM, COUNTERSIGN_PKCS11_SHIM_MODULE } = shimmed
  const env = {
    ...hsm.env,
    COUNTERSIGN_PKCS11_SHIM,
    COUNTERSIGN_PKCS11_SHIM_MODULE,
    COUNTERSIGN_PIN: pin,
  }
  const plain = await countersign(['doctor', ...args], { env })
  const json = await countersign(['doctor', ...args, '--json'], { env })
  const steps: readonly StepResult[] = JSON.parse(json.stdout)
  return { plain, json, steps }
}

describe('countersign doctor, for a key on a token', { timeout: 60_000 }, () => {
  test('passes the checks of the key with the right PIN', async () => {
    const { json, steps } = await diagnose(token.pin)
    expect(json.code).toBe(1)
    expect(failedStep(steps).name).toBe('https')
    expect(steps.find(({ name }) => name === 'key store')?.found).toBe('the PKCS#11 token answers')
  })

  test('names the key that is not on the token, after a login with the right PIN', async () => {
    const { json, steps } = await diagnose(token.pin, 'nobody')
    expect(json.code).toBe(3)
    expect(failedStep(steps)).toMatchObject({ name: 'key', code: 'ERR_SIGNER_KEY_NOT_FOUND' })
  })

  test('fails at "key permission" with a wrong PIN, and uses one login attempt each time', async () => {
    shim.forget()
    const { plain, json, steps } = await diagnose(wrong)
    expect([plain.code, json.code, json.stderr]).toEqual([3, 3, ''])
    const broken = failedStep(steps)
    expect(broken).toMatchObject({
      name: 'key permission',
      code: 'ERR_SIGNER_ACCESS_DENIED',
      side: 'key',
    })
    expect(broken.remedy).toMatch('the right PIN')
    expect(plain.stdout).toMatch(/^✓ key store .*\n✗ key permission .*\n( .*\n)+- key /m)
    for (const { stdout } of [plain, json]) expect(stdout).not.toContain(wrong)
    expect(shim.count('C_Login')).toBe(2)
  })
})
