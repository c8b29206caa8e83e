import type { ClosableSigner, SignRequest } from '@countersign/core'
import { SignerError } from '@countersign/core'
import {
  importPeer,
  type LoadedKey,
  type LoadSignerOptions,
  loadSigner,
  ownOptions,
  retriedCalls,
} from '@countersign/core/backend'
import type { KeyManagementServiceClient } from '@google-cloud/kms'
import { checksumOf, isChecksumOf } from './checksum.ts'
import { type GcpKmsClient, type GcpKmsSignature, openService, type Service } from './client.ts'
import { backend, notIntact } from './errors.ts'
import { pinVersion, requireName } from './key-id.ts'
import { readPublicKey } from './public-key.ts'

/** Options of {@link gcpKmsSigner}. An `alg` has to be that of the key version; the default for Ed25519 is `EdDSA`. */
export interface GcpKmsSignerOptions extends LoadSignerOptions {
  /**
   * Resource name of a key version, `projects/…/locations/…/keyRings/…/cryptoKeys/…/cryptoKeyVersions/N`; or of a key,
   * for its newest enabled version at this time.
   */
  readonly name: string
  /** A client of `@google-cloud/kms`, which stays the caller's to close; by default one is made. */
  readonly client?: GcpKmsClient | undefined
  /** What the client is made with: credentials, endpoint. */
  readonly clientOptions?: ConstructorParameters<typeof KeyManagementServiceClient>[0] | undefined
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

/** Has a version sign: the digest where the algorithm has a hash, else the message itself. */
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

/** What is not said is as bad as what is wrong. */
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
