import type { ClosableSigner } from '@countersign/core'
import { peerError } from '@countersign/core/backend'
import type { GcpKmsSignerOptions } from '@countersign/gcp-kms'
import type { GcpKmsKeyUri } from './key-uri.ts'
import type { SignerFromUriOptions } from './options.ts'
import { backend } from './refusal.ts'

/** Opens a key of Google Cloud KMS, with the application default credentials. */
export async function openGcpKms(
  { name, endpoint, alg, kid }: GcpKmsKeyUri,
  { timeoutSeconds, signal }: SignerFromUriOptions,
): Promise<ClosableSigner> {
  const { gcpKmsSigner } = await loadGcpKms()
  const clientOptions = endpoint === undefined ? undefined : reach(new URL(endpoint))
  return gcpKmsSigner({ name, alg, kid, clientOptions, timeoutSeconds, signal })
}

async function loadGcpKms() {
  try {
    return await import('@countersign/gcp-kms')
  } catch (cause) {
    throw peerError('@countersign/gcp-kms', cause, backend, ['@google-cloud/kms'])
  }
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
