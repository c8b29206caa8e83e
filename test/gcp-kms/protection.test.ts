import { afterAll, beforeAll, expect, test } from 'vitest'
import { type GcpKms, startGcpKms } from '../servers/gcp-kms.js'
import { clientWith, signerOver } from './fixtures.ts'

let kms: GcpKms
beforeAll(async () => {
  kms = await startGcpKms()
})
afterAll(() => kms.close())

test.each([
  ['SOFTWARE', 'software'],
  ['HSM', 'hsm'],
  ['EXTERNAL', 'external'],
  ['EXTERNAL_VPC', 'external'],
] as const)('a version whose protection level is %s says: %s', async (protectionLevel, said) => {
  const name = kms.createKey({ kind: 'P-256', protectionLevel })
  expect((await signerOver(kms, { name })).protection).toBe(said)
})

test('a level that is not known, or not told, is not repeated', async () => {
  const name = kms.createKey({ kind: 'P-256' })
  for (const protectionLevel of ['QUANTUM', 'constructor', null]) {
    const client = clientWith(kms, (answer) => ({ ...answer, protectionLevel }))
    expect(await signerOver(kms, { name, client })).not.toHaveProperty('protection')
  }
})
