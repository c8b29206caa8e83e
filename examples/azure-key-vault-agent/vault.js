// @ts-check
import assert from 'node:assert/strict'
import { startAzureKeyVault } from '@countersign/test/servers/azure-key-vault'

/**
 * @typedef {object} Vault
 * @property {string} name
 * @property {import('@countersign/azure-key-vault').AzureKeyVaultSignerOptions} options
 * @property {() => void} check  what it was asked for
 * @property {() => Promise<void>} close
 */

/**
 * The vault that the agent's key is in: the user's own, when the environment names a key of it, else one on loopback.
 *
 * @returns {Promise<Vault>}
 */
export async function openVault() {
  return ownVault() ?? (await loopbackVault())
}

/** @returns {Vault | undefined} */
function ownVault() {
  const { COUNTERSIGN_AZURE_KEY_ID: keyId, COUNTERSIGN_AZURE_TOKEN: token } = process.env
  if (!keyId && !token) return undefined
  if (!keyId || !token) {
    throw new Error(
      'COUNTERSIGN_AZURE_KEY_ID and COUNTERSIGN_AZURE_TOKEN belong together: set both, or none for a vault on loopback',
    )
  }
  // In an application, a DefaultAzureCredential of @azure/identity stands here.
  const credential = {
    getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_600_000 }),
  }
  return {
    name: new URL(keyId).host,
    options: { keyId, credential },
    check() {},
    async close() {},
  }
}

/** @returns {Promise<Vault>} */
async function loopbackVault() {
  const vault = await startAzureKeyVault()
  const { versionlessId: keyId } = vault.createKey('billing-agent', { kind: 'P-256' })
  const { credential, clientOptions } = vault
  return {
    name: 'a vault on loopback',
    options: { keyId, credential, clientOptions },
    check() {
      assert.deepEqual(vault.calls(), ['get', 'sign', 'sign'])
      console.log('It was asked for the key once, for a trial signature, and for one assertion')
    },
    close: vault.close,
  }
}
