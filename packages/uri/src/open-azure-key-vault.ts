import type { ClosableSigner } from '@countersign/core'
import { peerError } from '@countersign/core/backend'
import { isOnThisMachine } from './azure-key-vault-form.ts'
import type { AzureKeyVaultKeyUri } from './key-uri.ts'
import type { AzureCredential, SignerFromUriOptions } from './options.ts'
import { backend } from './refusal.ts'

/** Opens a key of Azure Key Vault or a Managed HSM. */
export async function openAzureKeyVault(
  uri: AzureKeyVaultKeyUri,
  { azureCredential, timeoutSeconds, signal }: SignerFromUriOptions,
): Promise<ClosableSigner> {
  const { keyId, alg, kid } = uri
  const { azureKeyVaultSigner } = await loadAzureKeyVault()
  const credential = azureCredential ?? tokenOfEnvironment() ?? (await defaultCredential())
  return azureKeyVaultSigner({
    keyId,
    credential,
    clientOptions: clientOptionsOf(uri),
    alg,
    kid,
    timeoutSeconds,
    signal,
  })
}

async function loadAzureKeyVault() {
  try {
    return await import('@countersign/azure-key-vault')
  } catch (cause) {
    throw peerError('@countersign/azure-key-vault', cause, backend, ['@azure/keyvault-keys'])
  }
}

/** The SDK takes a challenge only for the domain that it comes from, and a server on this machine has none of Azure's. */
export function clientOptionsOf(
  uri: AzureKeyVaultKeyUri,
): { disableChallengeResourceVerification: true } | undefined {
  return isOnThisMachine(uri) ? { disableChallengeResourceVerification: true } : undefined
}

/** A token that somebody else fetches and renews, read anew whenever one is needed. */
function tokenOfEnvironment(): AzureCredential | undefined {
  const read = () => process.env['COUNTERSIGN_AZURE_TOKEN']
  if (!read()) return undefined
  return {
    async getToken() {
      const token = read()
      // When it ends is not known here; so long the SDK keeps it at most.
      return token ? { token, expiresOnTimestamp: Date.now() + 300_000 } : null
    },
  }
}

async function defaultCredential(): Promise<AzureCredential> {
  const { DefaultAzureCredential } = await loadIdentity()
  return new DefaultAzureCredential()
}

async function loadIdentity() {
  try {
    return await import('@azure/identity')
  } catch (cause) {
    throw peerError('@azure/identity', cause, backend)
  }
}
