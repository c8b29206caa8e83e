// @ts-check
import { KmsError } from './kms-error.js'

/**
 * @typedef {object} KmsRequest
 * @property {string} operation
 * @property {Record<string, unknown>} input  as sent, octets in base64
 * @property {string} accessKeyId  that signed the request
 * @property {string} region  that it was signed for
 * @property {boolean} cut  whether the client left before it had an answer
 */

/**
 * Answers in AWS JSON 1.1.
 *
 * @param {import('node:http').ServerResponse} response
 * @param {{ status: number, headers: Record<string, string>, body: string }} answer
 */
export function send(response, { status, headers, body }) {
  response.writeHead(status, {
    'content-type': 'application/x-amz-json-1.1',
    'content-length': Buffer.byteLength(body),
    ...headers,
  })
  response.end(body)
}

/**
 * Reads a request as KMS does, and refuses one that is not for it, or not signed for its region.
 *
 * @param {import('node:http').IncomingMessage} incoming
 * @param {string} body
 * @param {string} ownRegion
 * @returns {KmsRequest}
 */
export function read({ method, url, headers }, body, ownRegion) {
  const [, operation] = /^TrentService\.(\w+)$/.exec(String(headers['x-amz-target'])) ?? []
  if (
    operation === undefined ||
    method !== 'POST' ||
    url !== '/' ||
    headers['content-type'] !== 'application/x-amz-json-1.1'
  ) {
    throw new KmsError('UnknownOperationException', '')
  }
  const [, accessKeyId = '', region = ''] =
    /^AWS4-HMAC-SHA256 Credential=([^/,]+)\/\d{8}\/([^/]+)\/kms\/aws4_request, SignedHeaders=[\w;-]*\bhost\b[\w;-]*, Signature=[\da-f]{64}$/.exec(
      headers.authorization ?? '',
    ) ?? []
  if (accessKeyId === '' || headers['x-amz-date'] === undefined) {
    throw new KmsError('MissingAuthenticationTokenException', 'Missing Authentication Token')
  }
  if (region !== ownRegion) {
    throw new KmsError(
      'InvalidSignatureException',
      `Credential should be scoped to a valid region.`,
    )
  }
  try {
    return { operation, input: JSON.parse(body), accessKeyId, region, cut: false }
  } catch {
    throw new KmsError('SerializationException', '')
  }
}
