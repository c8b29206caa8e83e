import { peerError } from '@countersign/core/backend'
import { backend, refused } from '../error.ts'
import type { AzureCredential, KeyScheme, ParsedKeyUri } from '../key-scheme.ts'
import { isThisMachine, refuseCredentials } from '../syntax.ts'

interface AzureKeyVaultKey {
  /** Key identifier, `https://HOST/keys/NAME` or `https://HOST/keys/NAME/VERSION`. */
  readonly keyId: string
}

/** `azurekms:`, a key of Azure Key Vault or a Managed HSM. */
export type AzureKeyVaultKeyUri = ParsedKeyUri<AzureKeyVaultKey, 'azurekms'>

const keyPath = /^\/keys\/[\dA-Za-z-]{1,127}(?:\/[\dA-Za-z-]{1,127})?$/

// The hosts that a token may be sent to: those of Azure in each of its clouds, and this machine.
const azure =
  /^[a-z\d][a-z\d-]{0,62}\.(?:vault\.azure\.net|managedhsm\.azure\.net|vault\.azure\.cn|managedhsm\.azure\.cn|vault\.usgovcloudapi\.net|managedhsm\.usgovcloudapi\.net)$/

/** `azurekms://HOST/keys/NAME/VERSION` */
export const azureKeyVault: KeyScheme<AzureKeyVaultKey> = {
  name: 'azurekms',

  parse({ path, attributes }) {
    const slash = path.indexOf('/', 2)
    const host = path.slice(2, slash < 0 ? undefined : slash)
    refuseCredentials(host)
    if (!path.startsWith('//') || slash < 0 || !keyPath.test(path.slice(slash))) {
      throw refused(
        'This azurekms: URI names no key of Azure Key Vault; write azurekms://VAULT.vault.azure.net/keys/NAME/VERSION, or without the version for the newest one',
      )
    }
    if (!azure.test(host) && !isThisMachine(host)) {
      throw refused(
        'This azurekms: URI names a host that is not one of Azure Key Vault; write VAULT.vault.azure.net or HSM.managedhsm.azure.net (or those of a national cloud), in lower case and without a port',
      )
    }
    return { keyId: `https:${path}`, ...attributes() }
  },

  format({ keyId }) {
    return { path: keyId.slice('https:'.length) }
  },

  suggest(name) {
    if (!name.startsWith('https://')) return undefined
    return { service: 'Azure Key Vault', uri: name.replace('https:', 'azurekms:') }
  },

  async open({ keyId, alg, kid }, { azureCredential, timeoutSeconds, signal }) {
    const { azureKeyVaultSigner } = await loadAzureKeyVault()
    const credential = azureCredential ?? environmentToken() ?? (await defaultCredential())
    const clientOptions = clientOptionsFor(keyId)
    return azureKeyVaultSigner({
      keyId,
      credential,
      clientOptions,
      alg,
      kid,
      timeoutSeconds,
      signal,
    })
  },
}

async function loadAzureKeyVault() {
  try {
    return await import('@countersign/azure-key-vault')
  } catch (cause) {
    throw peerError('@countersign/azure-key-vault', cause, backend, ['@azure/keyvault-keys'])
  }
}

/** The SDK accepts a challenge only for a domain of Azure, which a server on this machine does not have. */
export function clientOptionsFor(
  keyId: string,
): { disableChallengeResourceVerification: true } | undefined {
  return isThisMachine(new URL(keyId).host)
    ? { disableChallengeResourceVerification: true }
    : undefined
}

/** A token that another program fetches and renews; it is read again whenever the SDK asks for one. */
function environmentToken(): AzureCredential | undefined {
  const read = () => process.env['COUNTERSIGN_AZURE_TOKEN']
  if (!read()) return undefined
  return {
    async getToken() {
      const token = read()
      // Its real lifetime is unknown. The SDK caches it for this long at most.
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
