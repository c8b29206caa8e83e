// @ts-check
import { status } from '@grpc/grpc-js'
import { ecdsa, rsaPkcs1 } from '../../support/digest-signature.js'
import { hostileText } from '../../support/hostile-text.js'
import { keyPair } from '../../support/key-pairs.js'
import { algorithms } from './algorithms.js'
import { asymmetricSign, checksum, signed } from './methods.js'
import { BareStatus, failedPrecondition, StatusError } from './status.js'

/** @typedef {'GetPublicKey' | 'AsymmetricSign' | 'ListCryptoKeyVersions'} Method */

/** The permission that each method requires, as the service names it when it is missing. */
const permissions = {
  GetPublicKey: 'cloudkms.cryptoKeyVersions.viewPublicKey',
  AsymmetricSign: 'cloudkms.cryptoKeyVersions.useToSign',
  ListCryptoKeyVersions: 'cloudkms.cryptoKeyVersions.list',
}

/**
 * Faults of the status or the connection.
 *
 * @type {Record<string, (method: Method, resource: string) => StatusError | BareStatus>}
 */
export const refusals = {
  throttle: () =>
    new StatusError(
      status.RESOURCE_EXHAUSTED,
      "Quota exceeded for quota metric 'Cryptographic requests'.",
    ),
  unavailable: () => new StatusError(status.UNAVAILABLE, 'The service is currently unavailable.'),
  internal: () => new StatusError(status.INTERNAL, 'Internal error encountered.'),
  unknown: () => new StatusError(status.UNKNOWN, 'Unknown error.'),
  aborted: () => new StatusError(status.ABORTED, 'The operation was aborted.'),
  cancelled: () => new StatusError(status.CANCELLED, 'The operation was cancelled.'),
  'data-loss': () => new StatusError(status.DATA_LOSS, 'Data loss.'),
  'deadline-exceeded': () =>
    new StatusError(status.DEADLINE_EXCEEDED, 'The service did not answer in time.'),
  'invalid-argument': () =>
    new StatusError(status.INVALID_ARGUMENT, 'Request contains an invalid argument.'),
  'damaged-on-the-way': () =>
    new StatusError(
      status.INVALID_ARGUMENT,
      'The checksum in field digest_crc32c did not match the data in digest.',
    ),
  unauthenticated: () =>
    new StatusError(
      status.UNAUTHENTICATED,
      'Request had invalid authentication credentials. Expected OAuth 2 access token.',
    ),
  'hostile-text': () => new StatusError(status.PERMISSION_DENIED, hostileText),
  unimplemented: () => new StatusError(status.UNIMPLEMENTED, 'The method is not implemented.'),
  'already-exists': () => new StatusError(status.ALREADY_EXISTS, 'It already exists.'),
  'out-of-range': () => new StatusError(status.OUT_OF_RANGE, 'Out of range.'),
  // No status of gRPC has this number.
  surprise: () => new StatusError(17, 'Nobody foresaw this.'),
  'no-content': () => new BareStatus(204),
  conflict: () => new BareStatus(409),
  gone: () => new BareStatus(410),
  'external-key': (_method, resource) =>
    failedPrecondition(
      `The external key manager rejected the request for ${resource}. Check the external key's attributes and the EKM connection.`,
    ),
  'external-permission': () =>
    failedPrecondition('Permission was denied when accessing the key at the external key manager.'),
  'api-disabled': () =>
    new StatusError(
      status.PERMISSION_DENIED,
      'Cloud Key Management Service (KMS) API has not been used in project 1 before or it is disabled.',
    ),
  denied: (method, resource) =>
    new StatusError(
      status.PERMISSION_DENIED,
      `Permission '${permissions[method]}' denied on resource '${resource}' (or it may not exist).`,
    ),
}

/**
 * Faults of the signature.
 *
 * @type {Record<string, (context: SignContext) => import('./methods.js').AsymmetricSignResponse>}
 * @typedef {object} SignContext
 * @property {import('./key-store.js').KeyStore} keys
 * @property {import('./methods.js').AsymmetricSignRequest} request
 */
export const wrongSignatures = {
  'no-signature': (context) => ({ ...right(context), signature: Buffer.alloc(0) }),
  'flip-bit': (context) => {
    const answer = right(context)
    const at = answer.signature.byteLength - 1
    answer.signature[at] = (answer.signature[at] ?? 0) ^ 1
    return answer
  },
  // With a checksum that fits, so that only the signature itself is wrong.
  'flip-bit-consistently': (context) => {
    const answer = wrongSignatures['flip-bit']?.(context) ?? right(context)
    return { ...answer, signatureCrc32c: checksum(answer.signature) }
  },
  'other-key': (context) => resigned(context, ({ otherKey }) => otherKey),
  'signed-by-next-version': (context) =>
    resigned(context, ({ name }) => context.keys.version(next(name)).privateKey),
  'answer-for-other-version': (context) => {
    const name = next(context.request.name)
    return asymmetricSign(context.keys, { ...context.request, name })
  },
  'other-name': (context) => ({ ...right(context), name: next(context.request.name) }),
  'no-name': (context) => ({ ...right(context), name: '' }),
  'no-crc': (context) => ({ ...right(context), signatureCrc32c: null }),
  'wrong-crc': (context) => ({ ...right(context), signatureCrc32c: { value: '1' } }),
  'huge-crc': (context) => {
    const answer = right(context)
    // The right one, modulo 2^32.
    const value = String(BigInt(answer.signatureCrc32c?.value ?? 0) + 2n ** 32n)
    return { ...answer, signatureCrc32c: { value } }
  },
  unverified: (context) => ({
    ...right(context),
    verifiedDigestCrc32c: false,
    verifiedDataCrc32c: false,
  }),
  // The flag of the field that was not sent.
  'wrong-one-verified': (context) => {
    const answer = right(context)
    return {
      ...answer,
      verifiedDigestCrc32c: answer.verifiedDataCrc32c,
      verifiedDataCrc32c: answer.verifiedDigestCrc32c,
    }
  },
  'short-signature': (context) => {
    const signature = right(context).signature.subarray(1)
    return { ...right(context), signature, signatureCrc32c: checksum(signature) }
  },
  'raw-signature': (context) =>
    resigned(
      context,
      ({ privateKey }) => privateKey,
      (key, digest) => ecdsa(key, Buffer.from(digest), 'raw'),
    ),
  'signed-by-p256': (context) =>
    resigned(
      context,
      () => keyPair('P-256').privateKey,
      (key, digest) => ecdsa(key, Buffer.from(digest), 'der'),
    ),
  // Some servers sign with PSS keys like this.
  'pkcs1-for-pss': (context) => resigned(context, ({ privateKey }) => privateKey, rsaPkcs1),
}

/**
 * Faults of the public key.
 *
 * @type {Record<string, (answer: import('./methods.js').PublicKeyResponse, keys: import('./key-store.js').KeyStore) => import('./methods.js').PublicKeyResponse>}
 */
export const wrongPublicKeys = {
  'no-key': (answer) => ({ ...answer, pem: '', publicKey: null }),
  'no-key-name': (answer) => ({ ...answer, name: '' }),
  'no-key-crc': (answer) => ({
    ...answer,
    pemCrc32c: null,
    publicKey: answer.publicKey && { ...answer.publicKey, crc32cChecksum: null },
  }),
  'wrong-key-crc': (answer) => ({
    ...answer,
    pemCrc32c: { value: '1' },
    publicKey: answer.publicKey && { ...answer.publicKey, crc32cChecksum: { value: '1' } },
  }),
  'key-of-other-version': (answer, keys) => ({
    ...answer,
    ...pemOf(keys.version(next(answer.name)).publicKey),
    name: next(answer.name),
  }),
  'other-public-key': (answer, keys) => ({
    ...answer,
    ...pemOf(keys.version(next(answer.name)).publicKey),
  }),
  // Some servers return a P-256 key for every EC algorithm.
  'always-p256': (answer) => ({ ...answer, ...pemOf(keyPair('P-256').publicKey) }),
  'small-rsa': (answer) => ({ ...answer, ...pemOf(keyPair('RSA-2048').publicKey) }),
  'private-pem': (answer) => {
    const pem = String(keyPair('P-256').privateKey.export({ format: 'pem', type: 'pkcs8' }))
    return { ...answer, pem, pemCrc32c: checksum(Buffer.from(pem)) }
  },
  'garbage-pem': (answer) => {
    const pem = '-----BEGIN PUBLIC KEY-----\nnone\n-----END PUBLIC KEY-----\n'
    return { ...answer, pem, pemCrc32c: checksum(Buffer.from(pem)) }
  },
  'unknown-algorithm': (answer) => ({
    ...answer,
    algorithm: 'CRYPTO_KEY_VERSION_ALGORITHM_UNSPECIFIED',
  }),
}

/** @param {SignContext} context */
const right = ({ keys, request }) => asymmetricSign(keys, request)

/**
 * @param {SignContext} context
 * @param {(version: import('./key-store.js').Version) => import('node:crypto').KeyObject | undefined} keyOf
 * @param {NonNullable<import('./algorithms.js').Algorithm['sign']>} [make]
 */
function resigned(context, keyOf, make) {
  const { keys, request } = context
  const version = keys.version(request.name)
  const { sign, hash } = algorithms[version.algorithm] ?? {}
  const key = keyOf(version)
  const how = make ?? sign
  if (key === undefined || how === undefined) throw new Error(`no such key for ${request.name}`)
  const signature = how(key, signed(request, hash), hash ?? 'sha256')
  return { ...right(context), signature, signatureCrc32c: checksum(signature) }
}

/** @param {import('node:crypto').KeyObject | undefined} key */
function pemOf(key) {
  if (key === undefined) throw new Error('no such key')
  const pem = String(key.export({ format: 'pem', type: 'spki' }))
  return { pem, pemCrc32c: checksum(Buffer.from(pem)) }
}

/** @param {string} name  of a version */
const next = (name) => name.replace(/\d+$/, (number) => String(Number(number) + 1))
