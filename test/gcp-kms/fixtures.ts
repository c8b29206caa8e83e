import {
  type GcpKmsClient,
  type GcpKmsPublicKey,
  type GcpKmsSignerOptions,
  gcpKmsSigner,
} from '@countersign/gcp-kms'
import { KeyManagementServiceClient } from '@google-cloud/kms'
import { onTestFinished } from 'vitest'
import { type GcpKms, startGcpKms } from '../servers/gcp-kms.js'

/** A test server that stops when the test ends. */
export async function startKms(options: Parameters<typeof startGcpKms>[0] = {}): Promise<GcpKms> {
  const kms = await startGcpKms(options)
  onTestFinished(() => kms.close())
  return kms
}

/** A client of the SDK, over gRPC by default, that is closed when the test ends. */
export function clientOf(
  kms: GcpKms,
  options: ConstructorParameters<typeof KeyManagementServiceClient>[0] = kms.clientOptions(),
): KeyManagementServiceClient {
  const client = new KeyManagementServiceClient(options)
  onTestFinished(() => client.close())
  return client
}

/** A signer with a client of {@link clientOf}. */
export function signerOver(
  kms: GcpKms,
  options: GcpKmsSignerOptions,
): ReturnType<typeof gcpKmsSigner> {
  return gcpKmsSigner({ client: clientOf(kms), ...options })
}

/** The name of a key's version. */
export const versionOf = (key: string, number = 1): string => `${key}/cryptoKeyVersions/${number}`

/** A client that changes the public keys it receives. */
export function clientWith(
  kms: GcpKms,
  change: (answer: GcpKmsPublicKey) => GcpKmsPublicKey,
): GcpKmsClient {
  const client = clientOf(kms)
  return {
    initialize: () => client.initialize(),
    async getPublicKey(request, options) {
      const [answer] = await client.getPublicKey(request, options)
      return [change(answer)]
    },
    asymmetricSign: (request, options) => client.asymmetricSign(request, options),
    listCryptoKeyVersions: (request, options) => client.listCryptoKeyVersions(request, options),
  }
}
