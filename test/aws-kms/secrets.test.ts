import diagnostics from 'node:diagnostics_channel'
import { inspect } from 'node:util'
import { awsKmsSigner } from '@countersign/aws-kms'
import { clientAssertion } from '@countersign/core'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { awsKms } from '../faults/aws-kms.js'
import { type FaultName, faults } from '../faults/faults.js'
import { type AwsKms, type KmsKey, startAwsKms } from '../servers/aws-kms.js'
import { clientOf, input, open } from './fixtures.ts'

const credentials = {
  accessKeyId: 'AKIACANARY',
  secretAccessKey: 'canary-of-a-secret-access-key',
  sessionToken: 'canary-of-a-session-token',
}

let kms: AwsKms
let key: KmsKey

beforeAll(async () => {
  kms = await startAwsKms()
  key = kms.createKey('P-256')
})

afterEach(() => kms.forget())

afterAll(() => kms.close())

/** Every string that can be reached from a value, hidden fields included. */
function* strings(value: unknown, seen = new Set<unknown>()): Generator<string> {
  if (typeof value === 'string') yield value
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return
  if (seen.has(value)) return
  seen.add(value)
  if (value instanceof Map || value instanceof Set) {
    for (const item of value) yield* strings(item, seen)
  }
  for (const name of Reflect.ownKeys(value)) {
    yield String(name)
    yield* strings(Reflect.get(value, name), seen)
  }
}

function expectNothingSecret(value: unknown, more: readonly string[] = []): void {
  const shown = [...strings(value), inspect(value, { depth: 20, showHidden: true }), String(value)]
  const text = shown.join('\n')
  expect(text).not.toContain('canary')
  expect(text).not.toContain('AWS4-HMAC-SHA256')
  expect(text).not.toContain('Signature=')
  for (const secret of more) expect(text).not.toContain(secret)
}

test('the walk finds what is hidden in a vendor error', async () => {
  kms.fail('expired token')
  const { GetPublicKeyCommand } = await import('@aws-sdk/client-kms')
  const client = clientOf(kms, { credentials })
  const error = await client.send(new GetPublicKeyCommand({ KeyId: key.id })).catch((e) => e)
  expect([...strings(error)].join('\n')).toContain('canary-of-a-session-token')
})

const met = (Object.keys(faults) as FaultName[]).flatMap((fault) => {
  const cell = awsKms[fault]
  const isTold = ['call', 'signature'].includes(faults[fault]) && cell?.alg === 'ES256'
  return isTold && !fault.startsWith('no answer') ? [{ fault, cell }] : []
})

test.each(met)(
  'no credential and no signing input is in the error of the fault "$fault"',
  async ({ cell }) => {
    const client = clientOf(kms, { credentials })
    const signer = await open(kms, key, { client })
    expectNothingSecret({ ...signer })
    const assertion = clientAssertion(signer, {
      clientId: 'canary-client',
      audience: 'https://as.example',
    })
    await assertion
    const scene = { kms, key, other: key, alias: '' }
    cell.plant(scene, { on: 'signature', times: undefined })
    const atSign = await signer.sign(Buffer.from('canary-input')).catch((error) => error)
    const atLoad = await open(kms, key, { client }).catch((error) => error)
    for (const error of [atSign, atLoad]) {
      expect(error).toBeInstanceOf(Error)
      expectNothingSecret(error, [Buffer.from('canary-input').toString('base64')])
    }
  },
)

test('no credential is in an error of state or permission', async () => {
  const client = clientOf(kms, { credentials })
  const signer = await open(kms, key, { client })
  for (const change of [
    () => kms.disableKey(key),
    () => kms.scheduleKeyDeletion(key),
    () => kms.deny('Sign'),
  ]) {
    change()
    expectNothingSecret(await signer.sign(input).catch((error) => error))
    kms.enableKey(key)
    kms.forget()
  }
  expectNothingSecret(await awsKmsSigner({ keyId: 'alias/nobody', client }).catch((e) => e))
})

test('no credential is in a diagnostics message', async () => {
  const messages: unknown[] = []
  const subscriber = (message: unknown) => void messages.push(message)
  diagnostics.subscribe('countersign:sign', subscriber)
  try {
    const signer = await open(kms, key, { client: clientOf(kms, { credentials }) })
    await signer.sign(input)
    kms.fail('expired token')
    await signer.sign(input).catch(() => {})
  } finally {
    diagnostics.unsubscribe('countersign:sign', subscriber)
  }
  expect(messages).toHaveLength(3)
  expectNothingSecret(messages)
})
