import { commonOf, readAttributes, writeQuery } from './attributes.ts'
import type { AzureKeyVaultKeyUri } from './key-uri.ts'
import { refused } from './refusal.ts'
import { isThisMachine, refuseCredentials, type SplitUri } from './split-uri.ts'

const path = /^\/keys\/[\dA-Za-z-]{1,127}(?:\/[\dA-Za-z-]{1,127})?$/

// The hosts that a token may be sent to: Azure's own in each of its clouds, and this machine.
const azure =
  /^[a-z\d][a-z\d-]{0,62}\.(?:vault\.azure\.net|managedhsm\.azure\.net|vault\.azure\.cn|managedhsm\.azure\.cn|vault\.usgovcloudapi\.net|managedhsm\.usgovcloudapi\.net)$/

/** Reads `azurekms://HOST/keys/NAME/VERSION`. */
export function parseAzureKeyVault({ hierarchy, query }: SplitUri): AzureKeyVaultKeyUri {
  const slash = hierarchy.indexOf('/', 2)
  const host = hierarchy.slice(2, slash < 0 ? undefined : slash)
  refuseCredentials(host)
  if (!hierarchy.startsWith('//') || slash < 0 || !path.test(hierarchy.slice(slash))) {
    throw refused(
      'This azurekms: URI names no key of Azure Key Vault; write azurekms://VAULT.vault.azure.net/keys/NAME/VERSION, or without the version for the newest one',
    )
  }
  if (!azure.test(host) && !isThisMachine(host)) {
    throw refused(
      'This azurekms: URI names a host that is not one of Azure Key Vault; write VAULT.vault.azure.net or HSM.managedhsm.azure.net (or those of a national cloud), in lower case and without a port',
    )
  }
  const attributes = readAttributes(query, {
    where: 'the query of an azurekms: URI',
    separator: '&',
    accepted: ['alg', 'kid'],
  })
  return { scheme: 'azurekms', keyId: `https:${hierarchy}`, ...commonOf(attributes) }
}

export function formatAzureKeyVault({ keyId, alg, kid }: AzureKeyVaultKeyUri): string {
  return `azurekms:${keyId.slice('https:'.length)}${writeQuery({ alg, kid })}`
}

/** Whether a key is on this machine. */
export function isOnThisMachine({ keyId }: AzureKeyVaultKeyUri): boolean {
  return isThisMachine(new URL(keyId).host)
}
