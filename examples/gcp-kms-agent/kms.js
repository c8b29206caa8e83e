// @ts-check
import assert from 'node:assert/strict'
import { startGcpKms } from '@countersign/test/servers/gcp-kms'
import { KeyManagementServiceClient } from '@google-cloud/kms'

/**
 * @typedef {object} Kms
 * @property {string} name
 * @property {import('@countersign/gcp-kms').GcpKmsSignerOptions} options
 * @property {() => void} check  what it was asked for
 * @property {() => Promise<void>} close
 */

/**
 * The Cloud KMS that the agent's key is in: Google's, when the environment names a key there, else one on loopback.
 *
 * @returns {Promise<Kms>}
 */
export async function openKms() {
  const { COUNTERSIGN_GCP_KMS_KEY: name } = process.env
  return name ? ownKms(name) : loopbackKms()
}

/**
 * @param {string} name
 * @returns {Kms}
 */
function ownKms(name) {
  // With the application default credentials.
  const client = new KeyManagementServiceClient()
  return { name: 'Cloud KMS', options: { name, client }, check() {}, close: () => client.close() }
}

/** @returns {Promise<Kms>} */
async function loopbackKms() {
  const kms = await startGcpKms()
  const client = new KeyManagementServiceClient(kms.clientOptions())
  const name = kms.createKey({ kind: 'P-256', id: 'billing-agent' })
  return {
    name: 'a Cloud KMS on loopback',
    options: { name, client },
    check() {
      assert.deepEqual(
        kms.requests.map(({ method }) => method),
        ['ListCryptoKeyVersions', 'GetPublicKey', 'AsymmetricSign', 'AsymmetricSign'],
      )
      console.log('It was asked for the key once, for a trial signature, and for one assertion')
    },
    async close() {
      await client.close()
      await kms.close()
    },
  }
}
