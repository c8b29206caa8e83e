// @ts-check
// The suite passes a private key to its clients; here it is imported into a vault first.
import { createPrivateKey } from 'node:crypto'
import { azureKeyVaultSigner } from '@countersign/azure-key-vault'
import { startAzureKeyVault } from '../servers/azure-key-vault.js'

/**
 * A signer over the key, once that lies in a Key Vault.
 *
 * @param {string} pem  PKCS#8
 * @param {import('@countersign/core').JwsAlgorithm} alg
 */
export async function inKeyVault(pem, alg) {
  const vault = await startAzureKeyVault()
  const { versionlessId } = vault.createKey('client', { privateKey: createPrivateKey(pem) })
  const { credential, clientOptions } = vault
  const signer = await azureKeyVaultSigner({ keyId: versionlessId, credential, clientOptions, alg })
  return { signer, close: vault.close }
}
