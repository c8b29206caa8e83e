// @ts-check
// The suite passes a private key to its clients; here it is imported into a Cloud KMS first.
import { createPrivateKey } from 'node:crypto'
import { gcpKmsSigner } from '@countersign/gcp-kms'
import { startGcpKms } from '../servers/gcp-kms.js'

/**
 * A signer over the key, once that is the second version of a key in Cloud KMS.
 *
 * @param {string} pem  PKCS#8
 * @param {import('@countersign/core').JwsAlgorithm} alg
 */
export async function inCloudKms(pem, alg) {
  const kms = await startGcpKms()
  const name = kms.createKey({ kind: 'P-256' })
  kms.createVersion(name, { kind: 'P-256', privateKey: createPrivateKey(pem) })
  const signer = await gcpKmsSigner({ name, alg, clientOptions: kms.clientOptions() })
  return { signer, close: kms.close }
}
