import { readFileSync } from 'node:fs'
import { type Pkcs11SignerOptions, pkcs11Signer } from '@countersign/pkcs11'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { createShim, type Shim } from '../support/shim.js'
import { createSoftHsm, type SoftHsm, type Token } from '../support/softhsm.js'
import { input, isSignatureOf, on } from './fixtures.ts'

let hsm: SoftHsm
let token: Token
let shim: Shim

beforeAll(async () => {
  hsm = createSoftHsm()
  token = await hsm.createToken('environment')
  await token.generateKey({ type: 'EC:prime256v1', label: 'key' })
  shim = createShim(hsm)
})

afterEach(() => {
  vi.unstubAllEnvs()
  shim.forget()
})

afterAll(() => hsm?.remove())

/** What the module's process has in its environment, after it has signed. */
async function environmentOf(options: Partial<Pkcs11SignerOptions> = {}) {
  await using signer = await pkcs11Signer({
    ...on(token, shim.module),
    key: { label: 'key' },
    ...options,
  })
  expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
  const pid = shim.calls().at(-1)?.pid
  expect(pid).not.toBe(process.pid)
  return readFileSync(`/proc/${pid}/environ`, 'utf8')
}

const secrets = [
  ...['AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'GITHUB_TOKEN', 'DATABASE_URL', 'NPM_TOKEN'],
  ...['COUNTERSIGN_PIN', 'COUNTERSIGN_CLIENT_SECRET', 'TOKEN_PIN', 'PKCS11_PIN', 'HSM_PASSWORD'],
  ...['CLOUDHSM_PIN', 'P11_AUTH', 'YUBIHSM_AUTHKEY', 'TPM2_CREDENTIAL', 'HTTPS_PROXY', 'LD_AUDIT'],
]

const needed = [
  ...['HOME', 'PATH', 'LC_ALL', 'LD_LIBRARY_PATH', 'XDG_RUNTIME_DIR', 'OPENSSL_CONF'],
  ...['SOFTHSM2_CONF', 'P11_KIT_SERVER_ADDRESS', 'P11_KIT_NO_USER_CONFIG', 'YUBIHSM_PKCS11_CONF'],
  ...['ChrystokiConfigurationPath', 'TPM2_PKCS11_STORE', 'TPM2_PKCS11_TCTI', 'TSS2_LOG'],
  ...['OPENCRYPTOKI_TRACE_LEVEL', 'CS_PKCS11_R3_CFG', 'NFAST_HOME', 'CKNFAST_LOADSHARING'],
  ...['PKCS11_PROXY_SOCKET', 'KMS_PKCS11_CONFIG', 'P11NETHSM_CONFIG_FILE', 'PCSCLITE_CSOCK_NAME'],
]

test("the module's process gets what modules need, and none of the application's secrets", async () => {
  for (const name of secrets) vi.stubEnv(name, `canary-of-${name}`)
  for (const name of needed) vi.stubEnv(name, process.env[name] ?? `value-of-${name}`)
  const environment = await environmentOf()
  expect(environment).not.toContain('canary')
  for (const name of needed) {
    expect(environment.split('\0')).toContain(`${name}=${process.env[name]}`)
  }
})

test('variables that "env" names reach the module, by name or by prefix', async () => {
  for (const name of ['AWS_PROFILE', 'AWS_REGION', 'VENDOR_CONF', 'VENDOR_OTHER', 'Other']) {
    vi.stubEnv(name, 'x')
  }
  const environment = (await environmentOf({ env: ['AWS_*', 'VENDOR_CONF'] })).split('\0')
  expect(environment).toEqual(
    expect.arrayContaining(['AWS_PROFILE=x', 'AWS_REGION=x', 'VENDOR_CONF=x']),
  )
  expect(environment).not.toContain('VENDOR_OTHER=x')
  expect(environment).not.toContain('Other=x')
})

test('variables that COUNTERSIGN_PKCS11_ENV names reach the module of a program that passes no "env"', async () => {
  vi.stubEnv('COUNTERSIGN_PKCS11_ENV', 'VENDOR_*, AWS_REGION')
  for (const name of ['VENDOR_CONF', 'AWS_REGION', 'AWS_PROFILE']) vi.stubEnv(name, 'x')
  const environment = (await environmentOf()).split('\0')
  expect(environment).toEqual(expect.arrayContaining(['VENDOR_CONF=x', 'AWS_REGION=x']))
  expect(environment).not.toContain('AWS_PROFILE=x')
})

test('what NODE_OPTIONS loads into the parent is not loaded into the process with the PIN, even if "env" names it', async () => {
  vi.stubEnv('NODE_OPTIONS', '--require=/nonexistent/instrumentation.cjs')
  for (const env of [[], ['*'], ['NODE_OPTIONS']]) {
    expect(await environmentOf({ env })).not.toContain('NODE_OPTIONS')
  }
})

test('signers with another "env" have another process', async () => {
  const open = (env: string[]) =>
    pkcs11Signer({ ...on(token, shim.module), key: { label: 'key' }, env })
  await using first = await open([])
  await using second = await open(['VENDOR_*'])
  await using third = await open([])
  for (const signer of [first, second, third]) await signer.sign(input)
  expect(new Set(shim.calls().map(({ pid }) => pid)).size).toBe(2)
})
