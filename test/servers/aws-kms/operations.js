// @ts-check
import { constraint, KmsError } from './kms-error.js'
import { signMessage } from './signing-algorithms.js'

/**
 * @typedef {import('./key-store.js').KeyStore} KeyStore
 * @typedef {import('./key-store.js').KmsKey} KmsKey
 * @typedef {import('./faults.js').Fault} Fault
 * @typedef {import('./wire.js').KmsRequest} KmsRequest
 */

/**
 * @param {KmsRequest} request
 * @param {KeyStore} store
 */
export function accessDenied({ operation, input, accessKeyId }, store) {
  const user = `arn:aws:iam::111122223333:user/${accessKeyId}`
  const { arn } = store.find(String(input['KeyId']))
  return new KmsError(
    'AccessDeniedException',
    `User: ${user} is not authorized to perform: kms:${operation} on resource: ${arn} because no identity-based policy allows the kms:${operation} action`,
  )
}

/** @type {Record<KmsKey['state'], (arn: string) => KmsError | undefined>} */
const obstacles = {
  Enabled: () => undefined,
  Disabled: (arn) => new KmsError('DisabledException', `${arn} is disabled.`),
  PendingDeletion: (arn) => invalidState(`${arn} is pending deletion.`),
  PendingImport: (arn) => invalidState(`${arn} is pending import.`),
  Unavailable: (arn) => invalidState(`${arn} is unavailable.`),
}

/** @param {string} message */
const invalidState = (message) => new KmsError('KMSInvalidStateException', message)

/**
 * @param {KmsRequest} request
 * @param {KeyStore} store
 * @param {Fault | undefined} fault
 * @returns {Record<string, unknown>}
 */
export function perform({ operation, input }, store, fault) {
  const { KeyId: name } = input
  if (operation !== 'GetPublicKey' && operation !== 'Sign') {
    throw new KmsError('UnknownOperationException', '')
  }
  if (typeof name !== 'string' || name === '') {
    throw constraint('keyId', 'Member must not be null')
  }
  const key = store.find(name)
  const obstacle = obstacles[key.state](key.arn)
  if (obstacle !== undefined) throw obstacle
  const answer = operation === 'Sign' ? sign(key, input) : getPublicKey(key)
  if (fault?.spoil === undefined) return answer
  const other = store.sibling(key)
  return fault.spoil(answer, {
    key: other,
    signature: () => String(sign(other, input)['Signature']),
  })
}

/** @param {KmsKey} key */
function getPublicKey(key) {
  if (key.keySpec === 'SYMMETRIC_DEFAULT') {
    throw new KmsError('UnsupportedOperationException', `${key.arn} is not an asymmetric key.`)
  }
  return {
    CustomerMasterKeySpec: key.keySpec,
    KeyId: key.arn,
    KeySpec: key.keySpec,
    KeyUsage: key.keyUsage,
    PublicKey: key.publicKey.export({ format: 'der', type: 'spki' }).toString('base64'),
    ...(key.signingAlgorithms.length > 0 ? { SigningAlgorithms: key.signingAlgorithms } : {}),
  }
}

/**
 * @param {KmsKey} key
 * @param {Record<string, unknown>} input
 * @returns {Record<string, unknown>}
 */
function sign(key, input) {
  const { Message: message, MessageType: type = 'RAW', SigningAlgorithm: algorithm } = input
  if (key.keyUsage !== 'SIGN_VERIFY') {
    throw new KmsError(
      'InvalidKeyUsageException',
      `${key.arn} key usage is ${key.keyUsage} which is not valid for Sign.`,
    )
  }
  const octets = Buffer.from(String(message ?? ''), 'base64')
  if (key.privateKey === undefined) throw new Error(`${key.arn} has no private half`)
  if (!key.signingAlgorithms.includes(String(algorithm))) {
    throw new KmsError(
      'InvalidKeyUsageException',
      `Algorithm ${algorithm} is incompatible with key spec ${key.keySpec}.`,
    )
  }
  const signature = signMessage(key.privateKey, String(algorithm), octets, String(type))
  return {
    KeyId: key.arn,
    Signature: signature.toString('base64'),
    SigningAlgorithm: algorithm,
  }
}
