import { generateKeyPairSync } from 'node:crypto'
import { localSigner } from '@countersign/local'
import { expect, test } from 'vitest'

const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' })

test('the caller can have each signature of a local key verified', async () => {
  const signer = await localSigner({ key, verify: true })
  await expect(signer.sign(Buffer.from('input'))).resolves.toHaveLength(64)
})

test('whether to verify is a boolean', async () => {
  await expect(localSigner({ key, verify: 'yes' as never })).rejects.toThrow(TypeError)
})
