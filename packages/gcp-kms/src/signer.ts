import { type ClosableSigner, type JwsAlgorithm, SignerError } from '@countersign/core'
import {
  importPeer,
  type LoadedKey,
  loadSigner,
  ownOptions,
  retriedCalls,
} from '@countersign/core/backend'
import type { KeyManagementServiceClient } from '@google-cloud/kms'
import { backend } from './backend.ts'
import type { GcpKmsClient } from './client.ts'
import { readPublicKey } from './public-key.ts'
import { openService } from './service.ts'
import { signWith } from './signature.ts'
import { pinVersion, requireName } from './version.ts'

/** Options of {@link gcpKmsSigner}. */
export interface GcpKmsSignerOptions {
  /**
   * Resource name of a key version, `projects/…/locations/…/keyRings/…/cryptoKeys/…/cryptoKeyVersions/N`; or of a key,
   * for its newest enabled version at this time.
   */
  readonly name: string
  /** The algorithm, which has to be that of the key version; Ed25519 keys are used as `EdDSA` unless `Ed25519` is asked for. */
  readonly alg?: JwsAlgorithm | undefined
  /** Key ID; by default the RFC 7638 thumbprint. */
  readonly kid?: string | undefined
  /** A client of `@google-cloud/kms`, which stays the caller's to close; by default one is made. */
  readonly client?: GcpKmsClient | undefined
  /** What the client is made with: credentials, endpoint, proxy. */
  readonly clientOptions?: ConstructorParameters<typeof KeyManagementServiceClient>[0] | undefined
  /** Bound on one signature, and on loading, all of the SDK's retries included; 10 by default. */
  readonly timeoutSeconds?: number | undefined
  /** Whether each signature is verified before it is handed out; `true` by default. */
  readonly verify?: boolean | undefined
  /** Gives up loading; the promise then rejects with `signal.reason` as it is. It does not bind later signatures. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Makes a signer over a key version in Google Cloud KMS.
 *
 * One signature is one call of `AsymmetricSign`, for RSA and ECDSA over a digest. Loading takes `GetPublicKey` and one
 * signature, and before them `ListCryptoKeyVersions` when the name is that of a key. Every answer has to bear the checksums
 * and the name that the service documents.
 *
 * @param options - name of the key version, and how to reach it.
 * @returns a frozen signer, bound to one version. It keeps no process alive; `close()` closes the client that was made
 *   for it.
 * @throws {@link SignerError} `ERR_SIGNER_CONFIG` when the name, the algorithm or the endpoint is not right, or the SDK is
 *   not installed; `ERR_SIGNER_KEY_NOT_FOUND`; `ERR_SIGNER_KEY_UNSUPPORTED` when the key makes no JWS signature;
 *   `ERR_SIGNER_KEY_DISABLED` when the version is not enabled, or a key has none that is; `ERR_SIGNER_ACCESS_DENIED` with
 *   the permission that is missing, or when there are no credentials; `ERR_SIGNER_THROTTLED`; `ERR_SIGNER_UNAVAILABLE`;
 *   `ERR_SIGNER_TIMEOUT`; `ERR_SIGNER_INTEGRITY` when what came back is not intact. `signal.reason` when aborted.
 * @throws `TypeError` when an option is not of its type.
 *
 * @example
 * ```ts
 * import { gcpKmsSigner } from '@countersign/gcp-kms'
 *
 * const signer = await gcpKmsSigner({
 *   name: 'projects/acme/locations/europe-west6/keyRings/agents/cryptoKeys/billing/cryptoKeyVersions/1',
 * })
 * console.log(signer.alg, signer.kid)
 * ```
 *
 * @see [AsymmetricSign](https://cloud.google.com/kms/docs/reference/rest/v1/projects.locations.keyRings.cryptoKeys.cryptoKeyVersions/asymmetricSign)
 */
export async function gcpKmsSigner(options: GcpKmsSignerOptions): Promise<ClosableSigner> {
  const { name, client, clientOptions, ...rest } = ownOptions(options)
  const settings = ownOptions(rest)
  requireName(name)
  requireClient(client, clientOptions)
  const calls = retriedCalls(settings.timeoutSeconds)
  let own: Promise<KeyManagementServiceClient> | undefined

  function makeOwn(): Promise<KeyManagementServiceClient> {
    own = newClient(clientOptions)
    return own
  }

  /** Nobody else has it, and it would keep its connection. */
  async function closeOwn(): Promise<void> {
    await (await own)?.close()
  }

  async function read(signal: AbortSignal): Promise<LoadedKey> {
    const ready: GcpKmsClient = client ?? (await makeOwn())
    signal.throwIfAborted()
    const service = await openService(ready, calls)
    signal.throwIfAborted()
    const version = await pinVersion(service, name, signal)
    const key = await readPublicKey(service, version, settings.alg, signal)
    return {
      ...key,
      signatureFormat: 'der',
      sign: (request) => signWith(service, version, request),
      close: closeOwn,
    }
  }

  try {
    const signer = await loadSigner({ name: backend }, read, settings)
    calls.loaded()
    return signer
  } catch (error) {
    closeOwn().catch(() => {})
    throw error
  }
}

function requireClient(client: unknown, clientOptions: unknown): void {
  if (client !== undefined && clientOptions !== undefined) {
    throw new TypeError('"clientOptions" make a client; give them or "client", not both')
  }
  for (const method of ['initialize', 'getPublicKey', 'asymmetricSign', 'listCryptoKeyVersions']) {
    if (client === undefined) return
    if (typeof (client as { [method: string]: unknown } | null)?.[method] !== 'function') {
      throw new TypeError('"client" must be a KeyManagementServiceClient')
    }
  }
}

async function newClient(
  options: GcpKmsSignerOptions['clientOptions'],
): Promise<KeyManagementServiceClient> {
  const sdk = await importPeer('@google-cloud/kms', () => import('@google-cloud/kms'), backend)
  try {
    return new sdk.KeyManagementServiceClient(options)
  } catch (cause) {
    throw new SignerError(
      'ERR_SIGNER_CONFIG',
      'No client can be made with these "clientOptions"; the cause says why',
      { backend, cause },
    )
  }
}
