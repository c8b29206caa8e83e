import { generateKeyPairSync } from 'node:crypto'
import { KMSClient } from '@aws-sdk/client-kms'
import { awsKmsSigner } from '@countersign/aws-kms'
import { azureKeyVaultSigner } from '@countersign/azure-key-vault'
import type { Signer } from '@countersign/core'
import { gcpKmsSigner } from '@countersign/gcp-kms'
import { localSigner } from '@countersign/local'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startAwsKms } from '../servers/aws-kms.js'
import { startAzureKeyVault } from '../servers/azure-key-vault.js'
import { startGcpKms } from '../servers/gcp-kms.js'

const input = Buffer.from('what is signed here')

async function google(algorithm: string, wire: 'clientOptions' | 'restOptions'): Promise<Signer> {
  const kms = await startGcpKms()
  onTestFinished(() => kms.close())
  const name = `${kms.createKey({ algorithm })}/cryptoKeyVersions/1`
  return gcpKmsSigner({ name, clientOptions: kms[wire]() })
}

async function aws(kind: 'P-256' | 'RSA-2048' | 'Ed25519'): Promise<Signer> {
  const kms = await startAwsKms()
  onTestFinished(() => kms.close())
  const { arn: keyId } = kms.createKey(kind)
  return awsKmsSigner({ keyId, client: new KMSClient(kms.client) })
}

async function azure(kind: 'P-256' | 'RSA-2048'): Promise<Signer> {
  const vault = await startAzureKeyVault()
  onTestFinished(() => vault.close())
  const { id: keyId } = vault.createKey('agent', { kind })
  const { credential, clientOptions } = vault
  return azureKeyVaultSigner({ keyId, credential, clientOptions })
}

const signers: { readonly [name: string]: () => Promise<Signer> } = {
  'AWS KMS, ES256': () => aws('P-256'),
  'AWS KMS, RS256': () => aws('RSA-2048'),
  'AWS KMS, EdDSA': () => aws('Ed25519'),
  'Google Cloud KMS, ES256': () => google('EC_SIGN_P256_SHA256', 'clientOptions'),
  'Google Cloud KMS, PS256': () => google('RSA_SIGN_PSS_2048_SHA256', 'clientOptions'),
  'Google Cloud KMS, EdDSA': () => google('EC_SIGN_ED25519', 'clientOptions'),
  'Google Cloud KMS over REST, ES256': () => google('EC_SIGN_P256_SHA256', 'restOptions'),
  'Azure Key Vault, ES256': () => azure('P-256'),
  'Azure Key Vault, RS256': () => azure('RSA-2048'),
  'a key in memory, ES256': () =>
    localSigner({ key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey }),
  'a key in memory, EdDSA': () => localSigner({ key: generateKeyPairSync('ed25519').privateKey }),
  'a key in memory, RS256': () =>
    localSigner({ key: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey }),
}

describe.each(Object.entries(signers))('a signature of %s', (_name, open) => {
  test('has memory of its own, not a part of one that Node.js or an SDK shares', async () => {
    const signer = await open()
    const [signature, another] = [await signer.sign(input), await signer.sign(input)]
    expect(signature.byteLength).toBeGreaterThan(60)
    expect(signature.buffer.byteLength).toBe(signature.byteLength)
    expect(another.buffer).not.toBe(signature.buffer)
  })
})
