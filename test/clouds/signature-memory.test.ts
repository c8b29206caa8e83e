import { generateKeyPairSync } from 'node:crypto'
import type { Signer } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { describe, expect, onTestFinished, test } from 'vitest'
import { keyPair } from '../support/key-pairs.js'
import { input } from './fixtures.ts'
import { type CloudAlgorithm, services } from './services.ts'

async function load(name: keyof typeof services, alg: CloudAlgorithm): Promise<Signer> {
  const service = await services[name](alg)
  onTestFinished(() => service.close())
  return service.load()
}

const signers: { readonly [name: string]: () => Promise<Signer> } = {
  'AWS KMS, ES256': () => load('AWS KMS', 'ES256'),
  'AWS KMS, RS256': () => load('AWS KMS', 'RS256'),
  'AWS KMS, EdDSA': () => load('AWS KMS', 'EdDSA'),
  'Google Cloud KMS, ES256': () => load('Google Cloud KMS over gRPC', 'ES256'),
  'Google Cloud KMS, PS256': () => load('Google Cloud KMS over gRPC', 'PS256'),
  'Google Cloud KMS, EdDSA': () => load('Google Cloud KMS over gRPC', 'EdDSA'),
  'Google Cloud KMS over REST, ES256': () => load('Google Cloud KMS over REST', 'ES256'),
  'Azure Key Vault, ES256': () => load('Azure Key Vault', 'ES256'),
  'Azure Key Vault, RS256': () => load('Azure Key Vault', 'RS256'),
  'a key in memory, ES256': () => localSigner({ key: keyPair('P-256').privateKey }),
  'a key in memory, EdDSA': () => localSigner({ key: generateKeyPairSync('ed25519').privateKey }),
  'a key in memory, RS256': () => localSigner({ key: keyPair('RSA-2048').privateKey }),
}

describe.each(Object.entries(signers))('a signature of %s', (_name, open) => {
  test('has its own memory, not part of a buffer that Node.js or an SDK shares', async () => {
    const signer = await open()
    const [signature, another] = [await signer.sign(input), await signer.sign(input)]
    expect(signature.byteLength).toBeGreaterThan(60)
    expect(signature.buffer.byteLength).toBe(signature.byteLength)
    expect(another.buffer).not.toBe(signature.buffer)
  })
})
