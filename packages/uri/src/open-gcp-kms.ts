import type { ClosableSigner } from '@countersign/core'
import { importPeer } from '@countersign/core/backend'
import type { GcpKmsSignerOptions } from '@countersign/gcp-kms'
import type { GcpKmsKeyUri } from './key-uri.ts'
import type { SignerFromUriOptions } from './options.ts'
import { backend } from './refusal.ts'

/** Opens a key of Google Cloud KMS, with the application default credentials. */
export async function openGcpKms(
  { name, endpoint, alg, kid }: GcpKmsKeyUri,
  { timeoutSeconds, signal }: SignerFromUriOptions,
): Promise<ClosableSigner> {
  const { gcpKmsSigner } = await importPeer(
    '@countersign/gcp-kms',
    () => import('@countersign/gcp-kms'),
    backend,
    ['@google-cloud/kms'],
  )
  const clientOptions = endpoint === undefined ? undefined : reach(new URL(endpoint))
  return gcpKmsSigner({ name, alg, kid, clientOptions, timeoutSeconds, signal })
}

type ClientOptions = NonNullable<GcpKmsSignerOptions['clientOptions']>

/** Client options for an endpoint: Google's, or a server on this machine. */
export function reach({ protocol, hostname, port }: URL): ClientOptions {
  if (protocol === 'https:') return { apiEndpoint: hostname }
  // Without TLS there is the HTTP mode of the SDK, and nobody's credentials are sent.
  const anonymous = {
    universeDomain: 'googleapis.com',
    getRequestHeaders: async () => new Headers(),
    fetch: (url: string, init: RequestInit) => fetch(url, init),
  }
  return {
    fallback: true,
    protocol: 'http',
    apiEndpoint: hostname,
    port: Number(port),
    projectId: 'none',
    authClient: anonymous as never,
  }
}
