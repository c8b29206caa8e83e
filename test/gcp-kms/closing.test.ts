import { rotating } from '@countersign/core'
import { gcpKmsSigner } from '@countersign/gcp-kms'
import { expect, test } from 'vitest'
import { input } from '../clouds/fixtures.ts'
import { until } from '../support/until.js'
import { clientOf, startKms, versionOf } from './fixtures.ts'

test('a signer that is closed closes the client that was made for it, and signs no more', async () => {
  const kms = await startKms()
  const name = versionOf(kms.createKey({ kind: 'P-256' }))
  const signer = await gcpKmsSigner({ name, clientOptions: kms.clientOptions() })
  expect(kms.connections()).toBe(1)
  await signer.close()
  await until(() => kms.connections() === 0)
  await expect(signer.sign(input)).rejects.toMatchObject({ code: 'ERR_SIGNER_CONFIG' })
})

test('a client of the caller stays open', async () => {
  const kms = await startKms()
  const name = versionOf(kms.createKey({ kind: 'P-256' }))
  const client = clientOf(kms)
  await using signer = await gcpKmsSigner({ name, client })
  await signer.close()
  await (await gcpKmsSigner({ name, client })).sign(input)
  expect(kms.connections()).toBe(1)
})

test('rotation leaves one connection, however often the key is loaded', async () => {
  const kms = await startKms()
  const key = kms.createKey({ kind: 'P-256' })
  const source = rotating(() => gcpKmsSigner({ name: key, clientOptions: kms.clientOptions() }))
  for (let version = 2; version < 5; version++) {
    await source.ready()
    kms.createVersion(key, { kind: 'P-256', nth: version % 2 })
    await source.reload()
  }
  await until(() => kms.connections() === 1)
  await source.close()
  await until(() => kms.connections() === 0)
})
