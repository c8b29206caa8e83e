// @ts-check
import { ecdsa, rsaPkcs1 } from '../../support/digest-signature.js'
import { hostileText } from '../../support/hostile-text.js'
import { keyPair } from '../../support/key-pairs.js'
import { KmsError } from './kms-error.js'

/**
 * A fault: an error, a wrong response, or a broken connection.
 *
 * `refuse` is thrown before the operation; `spoil` changes a right response, given the key and another of its kind;
 * `send` writes the response on the socket itself.
 *
 * @typedef {object} Fault
 * @property {() => KmsError} [refuse]
 * @property {(answer: Record<string, unknown>, other: Other) => Record<string, unknown>} [spoil]
 * @property {(response: import('node:http').ServerResponse, body: string) => void} [send]
 *
 * @typedef {object} Other
 * @property {import('./key-store.js').KmsKey} key  another key of the same kind
 * @property {() => string} signature  by it, over what is to be signed, in base64
 * @property {(make: (privateKey: import('node:crypto').KeyObject, digest: Buffer) => Buffer) => string} remade  by the
 *   right key, over the same digest, in base64
 */

/**
 * @param {string} type
 * @param {string} message
 * @param {number} [status]
 * @returns {Fault}
 */
const refusal = (type, message, status) => ({
  refuse: () => new KmsError(type, message, status),
})

/** @param {unknown} base64 */
function flipBit(base64) {
  const octets = Buffer.from(String(base64), 'base64')
  const last = octets.byteLength - 1
  octets[last] = (octets[last] ?? 0) ^ 1
  return octets.toString('base64')
}

/** @param {Record<string, unknown>} answer @param {string} member */
function without(answer, member) {
  const { [member]: _, ...rest } = answer
  return rest
}

/** @satisfies {Record<string, Fault>} */
export const faults = {
  throttle: refusal(
    'ThrottlingException',
    'You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.',
  ),
  'internal error': refusal('KMSInternalException', 'An internal error occurred.', 500),
  unavailable: refusal('ServiceUnavailableException', 'The service is unavailable.', 503),
  'dependency timeout': refusal('DependencyTimeoutException', 'A dependency timed out.', 503),
  'key unavailable': refusal('KeyUnavailableException', 'The key is not available.', 500),
  'server error': { send: answerWith(500, 'application/json', '{}') },
  'access denied': refusal('AccessDeniedException', 'Access is denied.'),
  'role denied': refusal(
    'AccessDenied',
    'User: arn:aws:iam::111122223333:user/agent is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::111122223333:role/signer',
    403,
  ),
  'expired token': refusal(
    'ExpiredTokenException',
    'The security token included in the request is expired',
  ),
  'unknown access key': refusal(
    'UnrecognizedClientException',
    'The security token included in the request is invalid.',
  ),
  'wrong secret': refusal(
    'InvalidSignatureException',
    'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
  ),
  'unknown failure': refusal('SurpriseException', 'Nobody foresaw this.', 418),
  'no content': { send: (response) => void response.writeHead(204).end() },
  conflict: refusal('ConflictException', 'Another operation is in progress.', 409),
  gone: { send: answerWith(410, 'application/x-amz-json-1.1', '{}') },
  'hostile text': refusal('AccessDeniedException', hostileText),
  hang: { send: () => {} },
  cut: { send: (response) => void response.socket?.destroy() },
  'cut in the body': {
    send(response, body) {
      response.writeHead(200, {
        'content-type': 'application/x-amz-json-1.1',
        'content-length': Buffer.byteLength(body),
      })
      response.write(body.slice(0, body.length / 2), () => response.socket?.destroy())
    },
  },
  html: {
    send: answerWith(502, 'text/html', '<html><body><h1>502 Bad Gateway</h1></body></html>'),
  },
  'a page that signs in': {
    send: answerWith(200, 'text/html', '<html><body>Sign in to the network</body></html>'),
  },
  'a page as JSON': {
    send: answerWith(200, 'application/x-amz-json-1.1', '<html><body>Sign in</body></html>'),
  },
  'no JSON': { send: answerWith(200, 'application/x-amz-json-1.1', '{"KeyId":') },
  redirect: {
    send(response) {
      response.writeHead(302, { location: 'http://kms.invalid/' }).end()
    },
  },
  'empty answer': { spoil: () => ({}) },
  'no signature': { spoil: (answer) => without(answer, 'Signature') },
  'empty signature': { spoil: (answer) => ({ ...answer, Signature: '' }) },
  'no key id': { spoil: (answer) => without(answer, 'KeyId') },
  'flipped bit': {
    spoil: (answer) => ({ ...answer, Signature: flipBit(answer['Signature']) }),
  },
  'short signature': {
    spoil: (answer) => ({
      ...answer,
      Signature: Buffer.from(String(answer['Signature']), 'base64').subarray(1).toString('base64'),
    }),
  },
  'raw signature': {
    spoil: (answer, { remade }) => ({
      ...answer,
      Signature: remade((key, digest) => ecdsa(key, digest, 'raw')),
    }),
  },
  'P-256 signature': {
    spoil: (answer, { remade }) => ({
      ...answer,
      Signature: remade((_, digest) => ecdsa(keyPair('P-256').privateKey, digest, 'der')),
    }),
  },
  // Some servers sign with PSS keys like this.
  'PKCS#1 for PSS': {
    spoil: (answer, { remade }) => ({
      ...answer,
      Signature: remade((key, digest) => rsaPkcs1(key, digest, 'sha256')),
    }),
  },
  'other key': {
    spoil: (answer, { signature }) => ({ ...answer, Signature: signature() }),
  },
  'other key, by its name': {
    spoil: (answer, { key, signature }) => ({
      ...answer,
      KeyId: key.arn,
      Signature: signature(),
    }),
  },
  'other name': { spoil: (answer, { key }) => ({ ...answer, KeyId: key.arn }) },
  'other public key': {
    spoil: (answer, { key }) => ({
      ...answer,
      PublicKey: key.publicKey.export({ format: 'der', type: 'spki' }).toString('base64'),
    }),
  },
  'damaged public key': {
    spoil: (answer) => ({ ...answer, PublicKey: Buffer.alloc(91, 7).toString('base64') }),
  },
  'private key': {
    spoil: (answer) => ({
      ...answer,
      PublicKey: keyPair('P-256')
        .privateKey.export({ format: 'der', type: 'pkcs8' })
        .toString('base64'),
    }),
  },
  'no public key': { spoil: (answer) => without(answer, 'PublicKey') },
}

/** @typedef {keyof typeof faults} FaultName */

/**
 * @param {number} status
 * @param {string} type
 * @param {string} body
 * @returns {NonNullable<Fault['send']>}
 */
function answerWith(status, type, body) {
  return (response) =>
    void response
      .writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) })
      .end(body)
}
