// @ts-check
import { constants, createCipheriv, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto'
import {
  CreateKeyCommand,
  GetParametersForImportCommand,
  ImportKeyMaterialCommand,
} from '@aws-sdk/client-kms'

/**
 * Imports a private key into AWS KMS as its owner does.
 *
 * @param {import('@aws-sdk/client-kms').KMSClient} client
 * @param {import('node:crypto').KeyObject} privateKey
 * @param {import('@aws-sdk/client-kms').KeySpec} keySpec
 * @returns {Promise<string>} the ARN of the new key
 * @see [Importing key material](https://docs.aws.amazon.com/kms/latest/developerguide/importing-keys-conceptual.html)
 */
export async function importKeyMaterial(client, privateKey, keySpec) {
  const { KeyMetadata } = await client.send(
    new CreateKeyCommand({ KeySpec: keySpec, KeyUsage: 'SIGN_VERIFY', Origin: 'EXTERNAL' }),
  )
  const arn = KeyMetadata?.Arn ?? ''
  const { ImportToken, PublicKey } = await client.send(
    new GetParametersForImportCommand({
      KeyId: arn,
      WrappingAlgorithm: 'RSA_AES_KEY_WRAP_SHA_256',
      WrappingKeySpec: 'RSA_4096',
    }),
  )
  const wrappingKey = createPublicKey({
    key: Buffer.from(PublicKey ?? []),
    format: 'der',
    type: 'spki',
  })
  await client.send(
    new ImportKeyMaterialCommand({
      KeyId: arn,
      ImportToken,
      EncryptedKeyMaterial: wrap(privateKey.export({ format: 'der', type: 'pkcs8' }), wrappingKey),
      ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE',
    }),
  )
  return arn
}

/**
 * Wraps octets with an AES key (RFC 5649), and the AES key with an RSA key.
 *
 * @param {Buffer} octets
 * @param {import('node:crypto').KeyObject} wrappingKey
 */
function wrap(octets, wrappingKey) {
  const aesKey = randomBytes(32)
  const cipher = createCipheriv('id-aes256-wrap-pad', aesKey, Buffer.from('a65959a6', 'hex'))
  const padding = constants.RSA_PKCS1_OAEP_PADDING
  return Buffer.concat([
    publicEncrypt({ key: wrappingKey, padding, oaepHash: 'sha256' }, aesKey),
    cipher.update(octets),
    cipher.final(),
  ])
}
