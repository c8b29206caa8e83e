import { expect, test } from 'vitest'
import { input } from '../clouds/fixtures.ts'
import { clientWith, signerOver, startKms, versionOf } from './fixtures.ts'

/** Refusals of a request for a public key that no other format of the key would change. */
const others = [
  ['denied', 'ACCESS_DENIED'],
  ['unauthenticated', 'ACCESS_DENIED'],
  ['api-disabled', 'ACCESS_DENIED'],
  ['throttle', 'THROTTLED'],
  ['internal', 'UNAVAILABLE'],
  ['aborted', 'UNAVAILABLE'],
  ['damaged-on-the-way', 'INTEGRITY'],
  ['external-key', 'BACKEND'],
  ['surprise', 'BACKEND'],
] as const

test.each(others)(
  'a public key that is refused (%s) is not asked for in another format',
  async (fault, code) => {
    const kms = await startKms()
    const name = versionOf(kms.createKey({ kind: 'P-256' }))
    kms.fail(fault, { method: 'GetPublicKey' })
    await expect(signerOver(kms, { name })).rejects.toMatchObject({ code: `ERR_SIGNER_${code}` })
    expect(kms.count('GetPublicKey')).toBe(1)
  },
)

test.each(['DISABLED', 'DESTROYED'] as const)(
  'nor is that of a version that is %s',
  async (state) => {
    const kms = await startKms()
    const name = versionOf(kms.createKey({ kind: 'P-256' }))
    kms.setState(name, state)
    await expect(signerOver(kms, { name })).rejects.toMatchObject({
      code: 'ERR_SIGNER_KEY_DISABLED',
    })
    expect(kms.count('GetPublicKey')).toBe(1)
  },
)

test('nor is that of a key that is not there', async () => {
  const kms = await startKms()
  const name = versionOf(kms.createKey({ kind: 'P-256' }), 7)
  await expect(signerOver(kms, { name })).rejects.toMatchObject({
    code: 'ERR_SIGNER_KEY_NOT_FOUND',
  })
  expect(kms.count('GetPublicKey')).toBe(1)
})

test('an argument that is not accepted may be the format: the key is asked for in the other one, once', async () => {
  const kms = await startKms()
  const name = versionOf(kms.createKey({ kind: 'P-256' }))
  kms.fail('invalid-argument', { method: 'GetPublicKey', times: 2 })
  const error = await signerOver(kms, { name }).catch((reason) => reason)
  // What is said is why the first request failed.
  expect(error).toMatchObject({ code: 'ERR_SIGNER_CONFIG' })
  expect(error.cause.message).toContain('invalid argument')
  const formats = kms.requests.map(({ request }) => request.publicKeyFormat)
  expect(formats).toEqual(['PUBLIC_KEY_FORMAT_UNSPECIFIED', 'NIST_PQC'])
  expect(await (await signerOver(kms, { name })).sign(input)).toHaveLength(64)
})

test.each([
  ['SOFTWARE', 'software'],
  ['HSM', 'hsm'],
  ['EXTERNAL', 'external'],
  ['EXTERNAL_VPC', 'external'],
] as const)('a version whose protection level is %s says: %s', async (protectionLevel, said) => {
  const kms = await startKms()
  const name = kms.createKey({ kind: 'P-256', protectionLevel })
  expect((await signerOver(kms, { name })).protection).toBe(said)
})

test('a protection level that is unknown or missing is not shown', async () => {
  const kms = await startKms()
  const name = kms.createKey({ kind: 'P-256' })
  for (const protectionLevel of ['QUANTUM', 'constructor', null]) {
    const client = clientWith(kms, (answer) => ({ ...answer, protectionLevel }))
    expect(await signerOver(kms, { name, client })).not.toHaveProperty('protection')
  }
})
