import { awsKmsSigner } from '@countersign/aws-kms'
import { azureKeyVaultSigner } from '@countersign/azure-key-vault'
import type { Signer } from '@countersign/core'
import { gcpKmsSigner } from '@countersign/gcp-kms'
import { KeyManagementServiceClient } from '@google-cloud/kms'
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { startAwsKms } from '../servers/aws-kms.js'
import { startAzureKeyVault } from '../servers/azure-key-vault.js'
import { type GcpKms, startGcpKms } from '../servers/gcp-kms.js'
import { input } from './expectations.ts'

/** A stand-in with one key, and the vendor's SDK with all its own retries and delays. */
interface Service {
  load(timeoutSeconds: number): Promise<Signer>
  unavailable(): void
  hang(): void
  close(): Promise<void>
  /** Releases what is left on this side. */
  end?(): Promise<void>
}

async function startGoogle(
  clientOptionsOf: (kms: GcpKms) => ReturnType<GcpKms['clientOptions']>,
): Promise<Service> {
  const kms = await startGcpKms()
  const name = `${kms.createKey({ kind: 'P-256' })}/cryptoKeyVersions/1`
  // Made here, since that alone takes the SDK most of a short deadline.
  const client = new KeyManagementServiceClient(clientOptionsOf(kms))
  return {
    load: (timeoutSeconds) => gcpKmsSigner({ name, client, timeoutSeconds }),
    unavailable: () => kms.fail('unavailable'),
    hang: () => kms.fail('hang'),
    close: () => kms.close(),
    end: () => client.close(),
  }
}

const services: { readonly [name: string]: () => Promise<Service> } = {
  async 'AWS KMS'() {
    const kms = await startAwsKms()
    const { arn: keyId } = kms.createKey('P-256')
    const { KMSClient } = await import('@aws-sdk/client-kms')
    const client = new KMSClient(kms.client)
    return {
      load: (timeoutSeconds) => awsKmsSigner({ keyId, client, timeoutSeconds }),
      unavailable: () => kms.fail('unavailable'),
      hang: () => kms.fail('hang'),
      close: () => kms.close(),
    }
  },
  'Google Cloud KMS over gRPC': () => startGoogle((kms) => kms.clientOptions()),
  'Google Cloud KMS over REST': () => startGoogle((kms) => kms.restOptions()),
  'Google Cloud KMS over REST with a fetch of the caller': () =>
    startGoogle((kms) => kms.fetchOptions()),
  async 'Azure Key Vault'() {
    const vault = await startAzureKeyVault()
    const { id: keyId } = vault.createKey('agent')
    const { credential, clientOptions } = vault
    return {
      load: (timeoutSeconds) =>
        azureKeyVaultSigner({ keyId, credential, clientOptions, timeoutSeconds }),
      unavailable() {
        vault.fail('unavailable', { on: 'get' })
        vault.fail('unavailable', { on: 'sign' })
      },
      hang() {
        vault.fail('hang', { on: 'get' })
        vault.fail('hang', { on: 'sign' })
      },
      close: () => vault.close(),
    }
  },
}

/** Seconds, of which the first and the second are too few for the retries of some SDKs. */
const deadlines = [0.4, 1, 3]

/** Loads a signer. On a busy machine a short deadline may pass before a service that works has answered. */
async function loaded(service: Service, seconds: number, attempts = 5): Promise<Signer> {
  try {
    return await service.load(seconds)
  } catch (error) {
    if (attempts === 1) throw error
    return loaded(service, seconds, attempts - 1)
  }
}

/** What loads and signatures are rejected with, at each deadline, after something has gone wrong. */
async function rejections(service: Service, goWrong: () => unknown): Promise<unknown[]> {
  const signers: Signer[] = []
  // One at a time, so that a short deadline is not spent waiting for the others.
  for (const seconds of deadlines) signers.push(await loaded(service, seconds))
  await goWrong()
  const attempts = [
    ...signers.map((signer) => signer.sign(input)),
    ...deadlines.map((seconds) => service.load(seconds)),
  ]
  const outcomes = await Promise.allSettled(attempts)
  return outcomes.map((outcome) => (outcome.status === 'rejected' ? outcome.reason : outcome))
}

const all = (code: string) =>
  [...deadlines, ...deadlines].map(() => expect.objectContaining({ code, retryable: true }))

describe.each(Object.entries(services))('%s', (_name, start) => {
  let service: Service
  // The SDKs take their time to be loaded, and to make their first clients.
  beforeAll(async () => {
    const first = await start()
    await first.load(60)
    await first.close()
  })

  async function open(): Promise<Service> {
    service = await start()
    onTestFinished(async () => {
      await service.end?.()
      await service.close()
    })
    return service
  }

  test('that answers 503 is unavailable, whatever the deadline', async () => {
    const { unavailable } = await open()
    expect(await rejections(service, unavailable)).toEqual(all('ERR_SIGNER_UNAVAILABLE'))
  })

  test('that refuses connections is unavailable, whatever the deadline', async () => {
    const { close } = await open()
    expect(await rejections(service, close)).toEqual(all('ERR_SIGNER_UNAVAILABLE'))
  })

  test('signs with a deadline that is no whole number of milliseconds', async () => {
    await open()
    for (const seconds of [5.0101, 20 / 3]) {
      expect(await (await service.load(seconds)).sign(input)).toHaveLength(64)
    }
  })

  test('that does not answer costs the deadline', async () => {
    const { hang } = await open()
    expect(await rejections(service, hang)).toEqual(all('ERR_SIGNER_TIMEOUT'))
  })
})
