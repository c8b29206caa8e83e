import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import {
  formatKeyUri,
  parseKeyUri,
  type SignerFromUriOptions,
  signerFromUri,
} from '@countersign/uri'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { isAlive } from '../support/processes.js'
import { createShim, type Shim } from '../support/shim.js'
import { createSoftHsm, type SoftHsm, type Token } from '../support/softhsm.js'
import { until } from '../support/until.js'
import { input, isSignatureOf } from './fixtures.ts'

let hsm: SoftHsm
let token: Token
let shim: Shim
let pinFile: string

beforeAll(async () => {
  hsm = createSoftHsm()
  token = await hsm.createToken('The Agents/1')
  await token.generateKey({ type: 'EC:prime256v1', label: 'a;key&50%', id: '01ff2f' })
  await token.generateKey({ type: 'rsa:2048', label: 'rsa', id: '02' })
  pinFile = join(hsm.folder, 'the pin')
  writeFileSync(pinFile, `${token.pin}\n`, { mode: 0o600 })
  shim = createShim(hsm)
})

afterEach(() => {
  delete process.env['AGENT_PIN']
  shim.forget()
})

afterAll(() => hsm?.remove())

const label = 'token=The%20Agents%2F1'
const key = 'object=a%3Bkey%2650%25'
const uriOf = (path: string, query = '') => `pkcs11:${path}?module-path=${hsm.module}${query}`
const pinSource = () => `&pin-source=file:${pinFile.replaceAll(' ', '%2520')}`

async function expectToSign(uri: string, options?: SignerFromUriOptions): Promise<void> {
  await using signer = await signerFromUri(uri, options)
  expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
}

const refusal = (uri: string, options?: SignerFromUriOptions) =>
  signerFromUri(uri, options).then(
    () => expect.unreachable('the key was opened'),
    (error) => error,
  )

/** The serial number and the slot of the token, as SoftHSM tells them. */
async function seen(): Promise<{ serial: string; slot: string }> {
  const { message } = await refusal(uriOf(`token=nobody;${key}`), { pin: token.pin })
  const [, serial = '', slot = ''] =
    /"The Agents\/1", serial "(\w+)", slot (\d+)/.exec(message) ?? []
  return { serial, slot }
}

describe('a key on a token is found', () => {
  test.each([
    ['by labels', () => `${label};${key}`],
    ['by ID', () => `${label};id=%01%ff%2F`],
    ['by ID with octets that are letters', () => `${label};id=%01%FF%2f;type=private`],
    ['by label and ID', () => `${label};${key};id=%01%ff%2F`],
    ['by serial number', async () => `serial=${(await seen()).serial};${key}`],
    ['by slot', async () => `slot-id=${(await seen()).slot};${key}`],
    [
      'by all that tools print',
      async () =>
        `model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=${(await seen()).serial};${label};id=%01%FF%2F;${key};type=private`,
    ],
  ])('%s', async (_how, path) => {
    const uri = uriOf(await path(), pinSource())
    await expectToSign(uri)
    await expectToSign(formatKeyUri(parseKeyUri(uri)))
  })

  test('and used with the algorithm and the key ID of the URI', async () => {
    const uri = uriOf(`${label};object=rsa`, `${pinSource()}&alg=PS256&kid=the%20kid`)
    await using signer = await signerFromUri(uri)
    expect(signer).toMatchObject({ alg: 'PS256', kid: 'the kid' })
    expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
  })
})

describe('a token is not confused with one', () => {
  test.each([
    ['label', 'token=the%20agents%2F1'],
    ['serial', `${label};serial=0`],
    ['manufacturer', `${label};manufacturer=softhsm%20project`],
    ['model', `${label};model=SoftHSM%20v3`],
    ['slot', `${label};slot-id=0`],
  ])('of another %s', async (what, path) => {
    const error = await refusal(uriOf(`${path};${key}`, pinSource()))
    expect(error).toMatchObject({ code: 'ERR_SIGNER_CONFIG', backend: 'pkcs11' })
    expect(error.message).toMatch(new RegExp(`^No token has .*${what}.*there are: .*The Agents/1`))
  })
})

describe('the PIN comes', () => {
  test('from a file', () => expectToSign(uriOf(`${label};${key}`, pinSource())))

  test('from an environment variable', async () => {
    process.env['AGENT_PIN'] = token.pin
    await expectToSign(uriOf(`${label};${key}`, '&pin-source=env:AGENT_PIN'))
  })

  test('from the URI itself', () =>
    expectToSign(uriOf(`${label};${key}`, `&pin-value=${token.pin}`)))

  test('from the options, as text or from a function, where the URI names none', async () => {
    await expectToSign(uriOf(`${label};${key}`), { pin: token.pin })
    await expectToSign(uriOf(`${label};${key}`), { pin: async () => token.pin })
  })

  test('from the URI rather than from the options', async () => {
    const pin = () => expect.unreachable('it was asked for')
    await expectToSign(uriOf(`${label};${key}`, pinSource()), { pin })
  })

  test('from nowhere, and the error says so', async () => {
    expect(await refusal(uriOf(`${label};${key}`))).toMatchObject({
      code: 'ERR_SIGNER_ACCESS_DENIED',
      message: expect.stringContaining('requires a login; give its "pin"'),
    })
  })
})

describe('the PIN is refused', () => {
  test('from a file that others may read, unless that is allowed', async () => {
    const uri = uriOf(`${label};${key}`, pinSource())
    chmodSync(pinFile, 0o640)
    try {
      const error = await refusal(uri)
      expect(error).toMatchObject({ code: 'ERR_SIGNER_CONFIG', backend: 'uri' })
      expect(error.message).toContain(`run chmod 600 "${pinFile}"`)
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(token.pin)
      await expectToSign(uri, { allowSharedFiles: true })
    } finally {
      chmodSync(pinFile, 0o600)
    }
  })

  test('from a variable that is not set', async () => {
    const error = await refusal(uriOf(`${label};${key}`, '&pin-source=env:AGENT_PIN'))
    expect(error).toMatchObject({ code: 'ERR_SIGNER_CONFIG', backend: 'uri' })
    expect(error.message).toContain('The environment variable AGENT_PIN')
  })

  test('when it is wrong, and is not in the error', async () => {
    const spoilt = await hsm.createToken('spoilt')
    await spoilt.generateKey({ type: 'EC:prime256v1', label: 'key' })
    const error = await refusal(uriOf('token=spoilt;object=key', '&pin-value=CANARY-of-a-pin'))
    expect(error).toMatchObject({ code: 'ERR_SIGNER_ACCESS_DENIED', backend: 'pkcs11' })
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('CANARY')
  })
})

describe('the process of a token', () => {
  const uri = () => uriOf(`${label};${key}`).replace(hsm.module, shim.module)
  const child = () => shim.calls().at(-1)?.pid ?? 0

  test('ends when the signer is closed', async () => {
    const signer = await signerFromUri(uri(), { pin: token.pin })
    expect(child()).not.toBe(process.pid)
    expect(isAlive(child())).toBe(true)
    await signer.close()
    await until(() => !isAlive(child()))
    await expect(signer.sign(input)).rejects.toMatchObject({ code: 'ERR_SIGNER_CONFIG' })
  })

  test('that hangs costs the timeout of the options', async () => {
    shim.set('C_Sign.hang')
    const error = await refusal(uri(), { pin: token.pin, timeoutSeconds: 0.5 })
    expect(error).toMatchObject({ code: 'ERR_SIGNER_TIMEOUT' })
    expect(error.message).toContain('0.5')
    shim.clear('C_Sign.hang')
  })

  test('ends when the load is aborted, and the reason is passed on', async () => {
    const controller = new AbortController()
    const reason = new Error('changed my mind')
    const pin = async () => {
      controller.abort(reason)
      return token.pin
    }
    expect(await refusal(uri(), { signal: controller.signal, pin })).toBe(reason)
    await until(() => !isAlive(child()))
  })
})
