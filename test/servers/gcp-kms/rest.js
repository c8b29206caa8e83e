// @ts-check
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { text } from 'node:stream/consumers'
import { BareStatus, httpError, invalidArgument, notFound, StatusError } from './status.js'

/** @typedef {import('./faults.js').Method} Method */

const protos = createRequire(import.meta.url)('@google-cloud/kms/build/protos/protos.json')
const { nested } = protos.nested.google.nested.cloud.nested.kms.nested.v1

/**
 * The numbers of the enumerations, by the members that hold them.
 *
 * @type {Record<string, Record<string, number>>}
 */
const enumerations = {
  algorithm: nested.CryptoKeyVersion.nested.CryptoKeyVersionAlgorithm.values,
  state: nested.CryptoKeyVersion.nested.CryptoKeyVersionState.values,
  protectionLevel: nested.ProtectionLevel.values,
  publicKeyFormat: nested.PublicKey.nested.PublicKeyFormat.values,
}

/** The paths of `google.api.http` in service.proto. */
const routes = /** @type {const} */ ([
  ['GET', /^\/v1\/(.+)\/publicKey$/, 'GetPublicKey', 'name'],
  ['GET', /^\/v1\/(.+)\/cryptoKeyVersions$/, 'ListCryptoKeyVersions', 'parent'],
  ['POST', /^\/v1\/(.+):asymmetricSign$/, 'AsymmetricSign', 'name'],
])

/**
 * The same service over HTTP/1 and JSON, which the SDK speaks as `fallback`.
 *
 * @param {(method: Method, request: any, circumstances: { authorization: string | undefined }) => Promise<object>} answer
 */
export function createRestServer(answer) {
  return createServer(async (request, response) => {
    try {
      const [method, message] = await read(request)
      const { authorization } = request.headers
      send(response, 200, await answer(method, message, { authorization }), wantsNumbers(request))
    } catch (error) {
      if (error instanceof BareStatus) {
        response.writeHead(error.httpStatus).end()
        return
      }
      const status = error instanceof StatusError ? error : new StatusError(13, String(error))
      const { httpCode, body } = httpError(status)
      send(response, httpCode, body)
    }
  })
}

/**
 * Whether enumerations are returned as numbers, as the SDK requests them.
 *
 * @param {import('node:http').IncomingMessage} request
 */
function wantsNumbers({ url = '' }) {
  const { searchParams } = new URL(url, 'http://127.0.0.1')
  return searchParams.get('$alt')?.includes('enum-encoding=int') === true
}

/**
 * @param {import('node:http').IncomingMessage} request
 * @returns {Promise<[Method, object]>}
 */
async function read(request) {
  const { pathname, searchParams } = new URL(request.url ?? '', 'http://127.0.0.1')
  for (const [verb, path, method, field] of routes) {
    const found = request.method === verb ? path.exec(decodeURIComponent(pathname)) : null
    if (found === null) continue
    const body = await text(request)
    const members = body === '' ? {} : JSON.parse(body)
    return [
      method,
      fromJson({ ...Object.fromEntries(searchParams), ...members, [field]: found[1] }),
    ]
  }
  throw notFound('The requested URL was not found on this server.')
}

/** @param {Record<string, any>} members */
function fromJson({
  digest,
  digestCrc32c,
  data,
  dataCrc32c,
  pageSize,
  publicKeyFormat,
  ...others
}) {
  const [format] =
    Object.entries(enumerations['publicKeyFormat'] ?? {}).find(([name, number]) =>
      [name, String(number)].includes(String(publicKeyFormat)),
    ) ?? []
  return {
    ...others,
    publicKeyFormat: format ?? 'PUBLIC_KEY_FORMAT_UNSPECIFIED',
    pageSize: Number(pageSize ?? 0),
    digest: digest
      ? Object.fromEntries(Object.entries(digest).map(([name, value]) => [name, octets(value)]))
      : null,
    digestCrc32c: digestCrc32c === undefined ? null : { value: String(digestCrc32c) },
    data: octets(data ?? ''),
    dataCrc32c: dataCrc32c === undefined ? null : { value: String(dataCrc32c) },
  }
}

/** @param {unknown} base64 */
function octets(base64) {
  if (typeof base64 !== 'string') throw invalidArgument('Base64 decoding failed.')
  return Buffer.from(base64, 'base64')
}

/**
 * JSON as ProtoJSON has it: octets in base64, a wrapped integer as a string, nothing for what is not set.
 *
 * @param {import('node:http').ServerResponse} response
 * @param {number} code
 * @param {object} message
 * @param {boolean} [asNumbers]  enumerations
 */
function send(response, code, message, asNumbers = false) {
  const json = JSON.stringify(message, function (name, value) {
    const given = this[name]
    if (given instanceof Uint8Array) return Buffer.from(given).toString('base64') || undefined
    if (asNumbers && Object.hasOwn(enumerations, name)) return enumerations[name]?.[value]
    if (value === null || value === '' || value === false) return undefined
    const members = typeof value === 'object' ? Object.keys(value) : []
    return members.length === 1 && members[0] === 'value' ? value.value : value
  })
  response.writeHead(code, { 'content-type': 'application/json; charset=UTF-8' }).end(json)
}
