import type { KeyClientOptions } from '@azure/keyvault-keys'
import type { ClosableSigner, JwsAlgorithm } from '@countersign/core'
import {
  chooseAlgorithm,
  type LoadedKey,
  type LoadSignerOptions,
  loadSigner,
  ownOptions,
  type RetriedCalls,
  retriedCalls,
} from '@countersign/core/backend'
import { fitKey } from './algorithms.ts'
import {
  type AzureKeyClient,
  call,
  connect,
  type Fetch,
  fetchBy,
  type TokenCredential,
} from './client.ts'
import { backend } from './errors.ts'
import { type KeyId, parseKeyId, pin, requireSame } from './key-id.ts'

/** Options of {@link azureKeyVaultSigner}. */
export interface AzureKeyVaultSignerOptions extends LoadSignerOptions {
  /**
   * The key: `https://VAULT/keys/NAME/VERSION`, or `https://VAULT/keys/NAME` for the version that is the newest when it
   * is loaded; the signer stays with that version. The host tells the cloud, and whether it is a Managed HSM.
   */
  readonly keyId: string
  /** Returns access tokens, such as a `DefaultAzureCredential`. Either this or `client` is required. */
  readonly credential?: TokenCredential | undefined
  /** Options for the SDK's clients: retries, proxy, TLS, agent. */
  readonly clientOptions?: KeyClientOptions | undefined
  /** A `KeyClient` for the same vault, instead of `credential` and `clientOptions`. */
  readonly client?: AzureKeyClient | undefined
}

/**
 * Makes a signer over a key in Azure Key Vault or Managed HSM.
 *
 * Loading reads the key (permission `keys/get`) and signs once (`keys/sign`). After that each signature is one request,
 * for that one version. The request contains the digest, the response the signature; the private key stays in the vault.
 *
 * @param options - key identifier and credential.
 * @returns a frozen signer.
 * @throws {@link SignerError} `ERR_SIGNER_CONFIG` when the options do not fit the key, with those that would;
 *   `ERR_SIGNER_KEY_NOT_FOUND`; `ERR_SIGNER_KEY_UNSUPPORTED` when the key is not for signatures;
 *   `ERR_SIGNER_KEY_DISABLED` when the version is disabled, expired or not yet valid; `ERR_SIGNER_ACCESS_DENIED` with
 *   the permission that is missing; `ERR_SIGNER_THROTTLED`, `ERR_SIGNER_UNAVAILABLE` and `ERR_SIGNER_TIMEOUT` when the
 *   service does not answer as it should; `ERR_SIGNER_INTEGRITY` when the answer is of another key.
 * @throws `TypeError` when an option is not of its type.
 *
 * @example
 * ```ts
 * import { azureKeyVaultSigner, type TokenCredential } from '@countersign/azure-key-vault'
 *
 * // Such as new DefaultAzureCredential() of @azure/identity.
 * declare const credential: TokenCredential
 *
 * const signer = await azureKeyVaultSigner({
 *   keyId: 'https://agents.vault.azure.net/keys/billing-agent',
 *   credential,
 * })
 * console.log(signer.alg, signer.kid)
 * ```
 *
 * @see [Key Vault REST API, sign](https://learn.microsoft.com/rest/api/keyvault/keys/sign/sign)
 */
export async function azureKeyVaultSigner(
  options: AzureKeyVaultSignerOptions,
): Promise<ClosableSigner> {
  const { keyId, alg, kid, timeoutSeconds, verify, signal, ...access } = ownOptions(options)
  const id = parseKeyId(keyId)
  const open = accessTo(id, ownOptions(access))
  const calls = retriedCalls(timeoutSeconds)
  const signer = await loadSigner(
    { name: backend },
    async (abort) => loadKey(id, await open(), alg, calls, abort),
    { alg, kid, timeoutSeconds, verify, signal },
  )
  calls.loaded()
  return signer
}

async function loadKey(
  id: KeyId,
  fetch: Fetch,
  asked: JwsAlgorithm | undefined,
  calls: RetriedCalls,
  abort: AbortSignal,
): Promise<LoadedKey> {
  const { result } = await call(calls, 'keys/get', abort, (options) => fetch(id, options))
  const pinned = pin(id, result.key.id)
  const { publicKey, algorithms, protection } = fitKey(result.key)
  const alg = chooseAlgorithm(asked, algorithms, backend)
  const signing = result.signWith(pinned)
  return {
    alg,
    publicKey,
    protection,
    async sign({ digest, signal }) {
      // Every algorithm of these keys has a hash.
      const octets = digest as Uint8Array
      const { result, kid } = await call(calls, 'keys/sign', signal, (options) =>
        signing.sign(alg, octets, options),
      )
      requireSame(pinned, kid)
      return result.result
    },
  }
}

/** Returns a function that connects to the vault, with the caller's client or with new clients. */
function accessTo(
  id: KeyId,
  {
    client,
    clientOptions = {},
    credential,
  }: Pick<AzureKeyVaultSignerOptions, 'client' | 'clientOptions' | 'credential'>,
): () => Promise<Fetch> {
  if (credential !== undefined && client === undefined) {
    if (typeof credential?.getToken !== 'function')
      throw new TypeError('"credential" must be a TokenCredential')
    return () => connect(id, credential, clientOptions)
  }
  if (client === undefined || credential !== undefined)
    throw new TypeError('give either "credential" or "client"')
  if (typeof client?.getKey !== 'function' || typeof client.getCryptographyClient !== 'function')
    throw new TypeError('"client" must be a KeyClient of @azure/keyvault-keys')
  if (!URL.canParse(client.vaultUrl) || new URL(client.vaultUrl).origin !== id.vaultUrl)
    throw new TypeError('"client" must be for the vault of "keyId"')
  return async () => fetchBy(client)
}
