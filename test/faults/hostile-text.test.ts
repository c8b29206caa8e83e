import { inspect } from 'node:util'
import { KMSClient } from '@aws-sdk/client-kms'
import { awsKmsSigner } from '@countersign/aws-kms'
import { azureKeyVaultSigner } from '@countersign/azure-key-vault'
import type { Signer } from '@countersign/core'
import { gcpKmsSigner } from '@countersign/gcp-kms'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startAwsKms } from '../servers/aws-kms.js'
import { startAzureKeyVault } from '../servers/azure-key-vault.js'
import { startGcpKms } from '../servers/gcp-kms.js'
import { input } from './expectations.ts'

/** A signer, and what makes its service refuse with a text that is long and steers a terminal. */
interface Hostile {
  readonly signer: Signer
  refuse(): void
}

async function startGoogle(wire: 'clientOptions' | 'restOptions' | 'fetchOptions') {
  const kms = await startGcpKms()
  onTestFinished(() => kms.close())
  const name = `${kms.createKey({ kind: 'P-256' })}/cryptoKeyVersions/1`
  const signer = await gcpKmsSigner({ name, clientOptions: kms[wire]() })
  return { signer, refuse: () => kms.fail('hostile-text') }
}

const services: { readonly [name: string]: () => Promise<Hostile> } = {
  async 'AWS KMS'() {
    const kms = await startAwsKms()
    onTestFinished(() => kms.close())
    const { arn: keyId } = kms.createKey('P-256')
    const signer = await awsKmsSigner({ keyId, client: new KMSClient(kms.client) })
    return { signer, refuse: () => kms.fail('hostile text') }
  },
  'Google Cloud KMS over gRPC': () => startGoogle('clientOptions'),
  'Google Cloud KMS over REST': () => startGoogle('restOptions'),
  'Google Cloud KMS over REST with a fetch of the caller': () => startGoogle('fetchOptions'),
  async 'Azure Key Vault'() {
    const vault = await startAzureKeyVault()
    onTestFinished(() => vault.close())
    const { id: keyId } = vault.createKey('agent')
    const { credential, clientOptions } = vault
    const signer = await azureKeyVaultSigner({ keyId, credential, clientOptions })
    return { signer, refuse: () => vault.fail('hostile-text') }
  },
}

describe.each(Object.entries(services))('%s', (_name, start) => {
  test('can neither flood a log nor steer a terminal by the text of a refusal', async () => {
    const { signer, refuse } = await start()
    refuse()
    const error = await signer.sign(input).then(
      () => expect.fail('it was signed'),
      (reason) => reason,
    )
    expect(error).toMatchObject({ code: 'ERR_SIGNER_ACCESS_DENIED' })
    expect(error.message.length).toBeLessThan(1000)
    for (const shown of [inspect(error), error.stack, error.cause.message, error.cause.stack]) {
      expect(shown).not.toMatch(/[^\P{C}\n]/u)
      expect(shown.length).toBeLessThan(10_000)
    }
    // It still says something.
    expect(error.cause.message).toMatch(/No access for you/)
  })
})
