// @ts-check
import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { KMSClient, SignCommand } from '@aws-sdk/client-kms'
import { CryptographyClient } from '@azure/keyvault-keys'
import { awsKmsSigner } from '@countersign/aws-kms'
import { azureKeyVaultSigner } from '@countersign/azure-key-vault'
import { gcpKmsSigner } from '@countersign/gcp-kms'
import { KeyManagementServiceClient } from '@google-cloud/kms'
import { credentials } from '@grpc/grpc-js'

/**
 * @typedef {object} OpenKey
 * @property {import('@countersign/core').Signer} signer
 * @property {(message: Uint8Array) => Promise<unknown>} bare  makes the same signature with the vendor's SDK alone
 * @property {() => Promise<number>} signatures  how many the service has made
 * @property {() => void} close
 */

/** @typedef {(access: import('./service.js').Access) => Promise<Pick<OpenKey, 'signer' | 'bare'>>} Open */

/** @type {(message: Uint8Array) => Buffer} */
const digestOf = (message) => createHash('sha256').update(message).digest()

/** @type {Record<'aws' | 'gcp' | 'azure', Open>} */
const vendors = {
  async aws({ key: KeyId, client: settings }) {
    const client = new KMSClient(settings)
    return {
      signer: await awsKmsSigner({ keyId: KeyId, client }),
      bare: (message) =>
        client.send(
          new SignCommand({
            KeyId,
            Message: digestOf(message),
            MessageType: 'DIGEST',
            SigningAlgorithm: 'ECDSA_SHA_256',
          }),
        ),
    }
  },
  async gcp({ key: name, client: { port } }) {
    const client = new KeyManagementServiceClient({
      apiEndpoint: '127.0.0.1',
      port,
      sslCreds: credentials.createInsecure(),
      projectId: 'bench',
      // Without one, the SDK looks for credentials that it does not need, and asks the metadata server.
      authClient: /** @type {any} */ ({ universeDomain: 'googleapis.com' }),
    })
    return {
      signer: await gcpKmsSigner({ name, client }),
      bare: (message) => client.asymmetricSign({ name, digest: { sha256: digestOf(message) } }),
    }
  },
  async azure({ key: keyId, client: clientOptions, token = '' }) {
    const credential = {
      getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_600_000 }),
    }
    const client = new CryptographyClient(keyId, credential, clientOptions)
    return {
      signer: await azureKeyVaultSigner({ keyId, credential, clientOptions }),
      bare: (message) => client.sign('ES256', digestOf(message)),
    }
  },
}

/** The name of the backend for each key service. */
export const backends = /** @type {const} */ ({
  aws: 'aws-kms',
  gcp: 'gcp-kms',
  azure: 'azure-key-vault',
})

/**
 * Starts a vendor's key service in another process, and opens its key.
 *
 * @param {keyof typeof backends} vendor
 * @param {number} latencyMilliseconds  of each answer
 * @returns {Promise<OpenKey>}
 */
export async function openKey(vendor, latencyMilliseconds) {
  const program = fileURLToPath(new URL('./service.js', import.meta.url))
  const service = fork(program, [vendor, String(latencyMilliseconds)])
  const [access] = await once(service, 'message')
  return {
    ...(await vendors[vendor](access)),
    async signatures() {
      service.send('signatures')
      const [{ signatures }] = await once(service, 'message')
      return signatures
    },
    close: () => service.disconnect(),
  }
}
