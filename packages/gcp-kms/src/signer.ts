import type { ClosableSigner, SignRequest } from '@countersign/core'
import { SignerError } from '@countersign/core'
import {
  type LoadedKey,
  type LoadSignerOptions,
  loadSigner,
  ownOptions,
  peerError,
  retriedCalls,
} from '@countersign/core/backend'
import type { KeyManagementServiceClient } from '@google-cloud/kms'
import { checksumOf, isChecksumOf } from './checksum.ts'
import { type GcpKmsClient, type GcpKmsSignature, openService, type Service } from './client.ts'
import { backend, notIntact } from './errors.ts'
import { pinVersion, requireName } from './key-id.ts'
import { readPublicKey } from './public-key.ts'

/** Options of {@link gcpKmsSigner}. `alg` must be that of the key version; for Ed25519 the default is `EdDSA`. */
export interface GcpKmsSignerOptions extends LoadSignerOptions {
  /**
   * Resource name of a key version, `projects/…/locations/…/keyRings/…/cryptoKeys/…/cryptoKeyVersions/N`; or of a key,
   * for its newest enabled version at this time.
   */
  readonly name: string
  /** A client of `@google-cloud/kms`, which the caller closes; by default one is created. */
  readonly client?: GcpKmsClient | undefined
  /** Options for the client that is created: credentials, endpoint, proxy. */
  readonly clientOptions?: ConstructorParameters<typeof KeyManagementServiceClient>[0] | undefined
}

/**
 * Makes a signer over a key version in Google Cloud KMS.
 *
 * One signature is one call of `AsymmetricSign`, for RSA and ECDSA over a digest. Loading calls `GetPublicKey` and signs
 * once; if the name is that of a key, it first calls `ListCryptoKeyVersions`. A response without the documented checksums
 * and name is refused.
 *
 * @param options - name of the key version, and how to reach it.
 * @returns a frozen signer for one version. It does not keep the process alive; `close()` closes the client that was
 *   created for it.
 * @throws {@link SignerError} `ERR_SIGNER_CONFIG` when the name, the algorithm or the endpoint is wrong, or the SDK is
 *   not installed; `ERR_SIGNER_KEY_NOT_FOUND`; `ERR_SIGNER_KEY_UNSUPPORTED` when the key makes no JWS signature;
 *   `ERR_SIGNER_KEY_DISABLED` when the version is not enabled, or a key has none that is; `ERR_SIGNER_ACCESS_DENIED` with
 *   the permission that is missing, or when there are no credentials; `ERR_SIGNER_THROTTLED`; `ERR_SIGNER_UNAVAILABLE`;
 *   `ERR_SIGNER_TIMEOUT`; `ERR_SIGNER_INTEGRITY` when a response is damaged or of another key. `signal.reason` when aborted.
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

  async function read(
    signal: AbortSignal,
    onClose: (release: () => unknown) => void,
  ): Promise<LoadedKey> {
    const ready = client ?? (await openClient(onClose))
    signal.throwIfAborted()
    const service = await openService(ready, calls)
    signal.throwIfAborted()
    const version = await pinVersion(service, name, signal)
    const key = await readPublicKey(service, version, settings.alg, signal)
    return {
      ...key,
      signatureFormat: 'der',
      sign: (request) => signWith(service, version, request),
    }
  }

  async function openClient(onClose: (release: () => unknown) => void): Promise<GcpKmsClient> {
    const own = await newClient(clientOptions)
    // Otherwise its connection stays open.
    onClose(() => own.close())
    return own
  }

  const signer = await loadSigner({ name: backend }, read, settings)
  calls.loaded()
  return signer
}

function requireClient(client: unknown, clientOptions: unknown): void {
  if (client !== undefined && clientOptions !== undefined) {
    throw new TypeError('"clientOptions" configure a new client; give them or "client", not both')
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
  const sdk = await importSdk()
  try {
    return new sdk.KeyManagementServiceClient(options)
  } catch (cause) {
    throw new SignerError(
      'ERR_SIGNER_CONFIG',
      'The SDK refused the "clientOptions"; the cause says why',
      { backend, cause },
    )
  }
}

async function importSdk() {
  try {
    return await import('@google-cloud/kms')
  } catch (cause) {
    throw peerError('@google-cloud/kms', cause, backend)
  }
}

/** Signs with a version: the digest if the algorithm has a hash, else the message itself. */
async function signWith(
  service: Service,
  name: string,
  { message, digest, hash, signal }: SignRequest,
): Promise<Uint8Array> {
  const octets = digest ?? message
  const checksum = checksumOf(octets)
  const input =
    hash === undefined
      ? { data: octets, dataCrc32c: checksum }
      : { digest: { [hash]: octets }, digestCrc32c: checksum }
  const [answer] = await service.call(
    { permission: 'cloudkms.cryptoKeyVersions.useToSign', resource: name },
    signal,
    (client, options) => client.asymmetricSign({ name, ...input }, options),
  )
  const isVerified = hash === undefined ? answer.verifiedDataCrc32c : answer.verifiedDigestCrc32c
  return intactSignature(answer, name, isVerified)
}

/** Returns the signature of a response. A missing checksum or name is refused like a wrong one. */
function intactSignature(
  { name, signature, signatureCrc32c }: GcpKmsSignature,
  expected: string,
  isVerified: boolean | null | undefined,
): Uint8Array {
  if (name !== expected)
    throw notIntact(`was asked to sign with ${expected} and answered for another version`)
  if (isVerified !== true) throw notIntact('did not verify the checksum of what it signed')
  if (!(signature instanceof Uint8Array) || signature.byteLength === 0) {
    throw notIntact('returned no signature')
  }
  if (!isChecksumOf(signatureCrc32c, signature)) {
    throw notIntact('returned a signature without its checksum, or with that of another one')
  }
  return signature
}
