// @ts-check
// The suite hands its clients a private key; here it goes into a vault before it is used.
import { createPrivateKey } from 'node:crypto'
import { azureKeyVaultSigner } from '@countersign/azure-key-vault'
import { startAzureKeyVault } from '../servers/azure-key-vault.js'

/**
 * A signer over the key, once that lies in a Key Vault which ends with this process.
 *
 * @param {string} pem  PKCS#8
 * @param {import('@countersign/core').JwsAlgorithm} alg
 */
export async function keyVaultSigner(pem, alg) {
  const vault = await startAzureKeyVault()
  process.once('exit', vault.close)
  const { versionlessId } = vault.createKey('client', { privateKey: createPrivateKey(pem) })
  const { credential, clientOptions } = vault
  return azureKeyVaultSigner({ keyId: versionlessId, credential, clientOptions, alg })
}
