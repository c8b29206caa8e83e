import { KMSClient } from '@aws-sdk/client-kms'
import { awsKmsSigner } from '@countersign/aws-kms'
import { azureKeyVaultSigner } from '@countersign/azure-key-vault'
import type { Signer } from '@countersign/core'
import { gcpKmsSigner } from '@countersign/gcp-kms'
import { KeyManagementServiceClient } from '@google-cloud/kms'
import { startAwsKms } from '../servers/aws-kms.js'
import { startAzureKeyVault } from '../servers/azure-key-vault.js'
import { type GcpKms, startGcpKms } from '../servers/gcp-kms.js'

/** A key service on loopback with one key, reached by the vendor's SDK with its default retries. */
export interface CloudService {
  load(options?: LoadOptions): Promise<Signer>
  fail(fault: CloudFault, on?: 'key' | 'signature'): void
  /** Removes all faults and recorded calls. */
  reset(): void
  /** The calls that reached the service since the last {@link reset}. */
  calls(): readonly ('key' | 'signature')[]
  /** Whether the client gave up the last call. */
  isAborted(): boolean
  /** Stops the service. */
  stop(): Promise<void>
  /** Releases the client and stops the service. */
  close(): Promise<void>
}

export interface LoadOptions {
  readonly timeoutSeconds?: number
  readonly signal?: AbortSignal
}

export type CloudFault = 'unavailable' | 'throttled' | 'hang' | 'hostile text'

export type CloudAlgorithm = 'ES256' | 'RS256' | 'PS256' | 'EdDSA'

type StartService = (alg?: CloudAlgorithm) => Promise<CloudService>

const keyKinds = { ES256: 'P-256', RS256: 'RSA-2048', PS256: 'RSA-2048', EdDSA: 'Ed25519' } as const

async function startAws(alg: CloudAlgorithm = 'ES256'): Promise<CloudService> {
  const kms = await startAwsKms()
  const { arn: keyId } = kms.createKey(keyKinds[alg])
  const client = new KMSClient(kms.client)
  return {
    load: (options) => awsKmsSigner({ keyId, client, alg, ...options }),
    fail: (fault, on) =>
      kms.fail(fault === 'throttled' ? 'throttle' : fault, {
        ...(on === undefined ? {} : { operation: on === 'key' ? 'GetPublicKey' : 'Sign' }),
      }),
    reset: () => kms.forget(),
    calls: () => kms.requests.map(({ operation }) => (operation === 'Sign' ? 'signature' : 'key')),
    isAborted: () => kms.requests.at(-1)?.cut === true,
    stop: () => kms.close(),
    async close() {
      client.destroy()
      await kms.close()
    },
  }
}

const googleAlgorithms = {
  ES256: 'EC_SIGN_P256_SHA256',
  RS256: 'RSA_SIGN_PKCS1_2048_SHA256',
  PS256: 'RSA_SIGN_PSS_2048_SHA256',
  EdDSA: 'EC_SIGN_ED25519',
} as const

async function startGoogle(
  clientOptionsOf: (kms: GcpKms) => ReturnType<GcpKms['clientOptions']>,
  alg: CloudAlgorithm = 'ES256',
): Promise<CloudService> {
  const kms = await startGcpKms()
  const name = `${kms.createKey({ algorithm: googleAlgorithms[alg] })}/cryptoKeyVersions/1`
  // Created here, since that alone takes the SDK most of a short deadline.
  const client = new KeyManagementServiceClient(clientOptionsOf(kms))
  const faults = { throttled: 'throttle', 'hostile text': 'hostile-text' } as const
  return {
    load: (options) => gcpKmsSigner({ name, client, ...options }),
    fail: (fault, on) =>
      kms.fail(fault === 'throttled' || fault === 'hostile text' ? faults[fault] : fault, {
        ...(on === undefined ? {} : { method: on === 'key' ? 'GetPublicKey' : 'AsymmetricSign' }),
      }),
    reset: () => kms.forget(),
    calls: () =>
      kms.requests.map(({ method }) => (method === 'AsymmetricSign' ? 'signature' : 'key')),
    isAborted: () => kms.requests.at(-1)?.aborted === true,
    stop: () => kms.close(),
    async close() {
      await client.close()
      await kms.close()
    },
  }
}

async function startAzure(alg: CloudAlgorithm = 'ES256'): Promise<CloudService> {
  const vault = await startAzureKeyVault()
  const { id: keyId } = vault.createKey('agent', { kind: keyKinds[alg] })
  const { credential, clientOptions } = vault
  const faults = { throttled: 'throttle', 'hostile text': 'hostile-text' } as const
  return {
    load: (options) => azureKeyVaultSigner({ keyId, credential, clientOptions, alg, ...options }),
    fail(fault, on) {
      const name = fault === 'throttled' || fault === 'hostile text' ? faults[fault] : fault
      if (on !== 'signature') vault.fail(name, { on: 'get' })
      if (on !== 'key') vault.fail(name, { on: 'sign' })
    },
    reset() {
      vault.reset()
      vault.requests.length = 0
    },
    calls: () => vault.calls().map((operation) => (operation === 'sign' ? 'signature' : 'key')),
    isAborted: () => vault.requests.at(-1)?.cut === true,
    stop: () => vault.close(),
    close: () => vault.close(),
  }
}

/** The key services by name. Google's also over REST, with its own HTTP client and with `fetch`. */
export const services = {
  'AWS KMS': startAws,
  'Google Cloud KMS over gRPC': (alg?: CloudAlgorithm) =>
    startGoogle((kms) => kms.clientOptions(), alg),
  'Google Cloud KMS over REST': (alg?: CloudAlgorithm) =>
    startGoogle((kms) => kms.restOptions(), alg),
  'Google Cloud KMS over REST with a fetch of the caller': (alg?: CloudAlgorithm) =>
    startGoogle((kms) => kms.fetchOptions(), alg),
  'Azure Key Vault': startAzure,
} as const satisfies { readonly [name: string]: StartService }
