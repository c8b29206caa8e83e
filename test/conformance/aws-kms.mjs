// @ts-check
// The suite passes a private key to its clients; here it is imported into AWS KMS first: our stand-in, and MiniStack.
import { createPrivateKey } from 'node:crypto'
import { KMSClient } from '@aws-sdk/client-kms'
import { awsKmsSigner } from '@countersign/aws-kms'
import { startAwsKms } from '../servers/aws-kms.js'
import { startMiniStack } from '../servers/ministack.js'
import { importKeyMaterial } from '../support/import-key-material.js'

/**
 * A signer over the key in our stand-in.
 *
 * @param {string} pem  PKCS#8 of a P-256 key
 * @param {import('@countersign/core').JwsAlgorithm} alg
 */
export async function inAwsKms(pem, alg) {
  const kms = await startAwsKms()
  const { arn: keyId } = kms.importKey(createPrivateKey(pem))
  const signer = await awsKmsSigner({ keyId, client: new KMSClient(kms.client), alg })
  return { signer, close: kms.close }
}

/**
 * A signer over the key in MiniStack, which got it by ImportKeyMaterial.
 *
 * @param {string} pem  PKCS#8 of a P-256 key
 * @param {import('@countersign/core').JwsAlgorithm} alg
 */
export async function inMiniStack(pem, alg) {
  const ministack = await startMiniStack()
  const client = new KMSClient(ministack.client)
  const keyId = await importKeyMaterial(client, createPrivateKey(pem), 'ECC_NIST_P256')
  const signer = await awsKmsSigner({ keyId, client, alg })
  return { signer, close: ministack.close }
}
