// @ts-check
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { ecdsa, rsaPkcs1 } from '../../support/digest-signature.js'
import { hostileText } from '../../support/hostile-text.js'
import { keyPair } from '../../support/key-pairs.js'
import { refusal } from './errors.js'
import { algorithms, bundleOf, kidOf, signature } from './store.js'

/**
 * What a fault sees: the request, and what the service would answer without it.
 *
 * @typedef {object} Exchange
 * @property {string} vaultUrl
 * @property {import('./store.js').Version | undefined} version  that is asked for, where there is one
 * @property {readonly import('./store.js').Version[]} versions  all of the key
 * @property {{ alg?: string, value?: string } | undefined} request
 * @property {import('./errors.js').Answer} answer
 * @property {number | undefined} retryAfterSeconds
 */

/**
 * `hang` never answers, `cut` ends the connection instead, `cut-short` in the middle of the answer.
 *
 * @typedef {import('./errors.js').Answer | 'hang' | 'cut' | 'cut-short'} Outcome
 */

const page = '<!DOCTYPE html><html><head><title>Gateway</title></head><body>Sign in</body></html>'

/**
 * Faults of a service or of a gateway in front of it. Some of them were seen in other test servers for this service.
 *
 * @satisfies {Record<string, (exchange: Exchange) => Outcome>}
 */
export const faults = {
  throttle: ({ retryAfterSeconds }) => ({
    ...refusal(
      429,
      'Throttled',
      'Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached',
    ),
    headers: retryAfterSeconds === undefined ? {} : { 'Retry-After': String(retryAfterSeconds) },
  }),
  'internal-error': () => refusal(500, 'InternalServerError', 'An error occurred.'),
  unavailable: () => refusal(503, 'ServiceUnavailable', 'The service is temporarily unavailable.'),
  'unavailable-without-body': () => ({ status: 503, body: undefined }),
  'token-refused': () => refusal(401, 'Unauthorized', 'AKV10032: Invalid issuer.'),
  'no-content': () => ({ status: 204, body: undefined }),
  conflict: () => refusal(409, 'Conflict', 'User triggered operation is in progress on the key.'),
  gone: () => ({ status: 410, body: undefined }),
  surprise: () => refusal(418, 'Surprise', 'Nobody foresaw this.'),
  // How servers that were built apart put it: without an inner code.
  'disabled-in-words': () =>
    refusal(403, 'Forbidden', 'Operation is not allowed on a disabled key'),
  'expired-in-words': () =>
    refusal(403, 'Forbidden', 'Operation is not permitted on an expired key'),
  'not-yet-valid-in-words': () =>
    refusal(403, 'Forbidden', 'Operation is not permitted on a key that is not yet valid'),
  'denied-without-body': () => ({ status: 403, body: undefined }),
  'hostile-text': () => refusal(403, 'Forbidden', hostileText, hostileText),
  hang: () => 'hang',
  cut: () => 'cut',
  'cut-short': () => 'cut-short',
  page: () => ({ status: 200, body: page }),
  'page-as-json': () => ({
    status: 200,
    body: page,
    headers: { 'Content-Type': 'application/json; charset=utf-8' },
  }),
  'no-json': () => ({
    status: 200,
    body: '{"kid":',
    headers: { 'Content-Type': 'application/json; charset=utf-8' },
  }),
  redirect: () => ({ status: 302, body: page, headers: { Location: 'https://vault.invalid/' } }),
  'error-page': () => ({ status: 502, body: page }),
  'error-for-mistakes': ({ answer }) =>
    answer.status >= 400 ? { ...answer, status: 500 } : answer,
  'without-inner-error': ({ answer }) => withError(answer, ({ innererror: _, ...rest }) => rest),
  'without-message': ({ answer }) =>
    withError(answer, (error) => ({ ...error, message: 'Forbidden' })),

  empty: () => ({ status: 200, body: {} }),
  'other-name': (exchange) =>
    changed(exchange, ({ kid, value }) => ({
      kid: String(kid).replace(/[^/]+$/, '0'.repeat(32)),
      value,
    })),
  'no-name': (exchange) => changed(exchange, ({ value }) => ({ value })),
  'no-signature': (exchange) => changed(exchange, ({ kid }) => ({ kid })),
  'empty-signature': (exchange) => changed(exchange, (body) => ({ ...body, value: '' })),
  'flipped-bit': (exchange) =>
    signedBy(exchange, (octets) => {
      octets[7] = (octets[7] ?? 0) ^ 1
      return octets
    }),
  'short-signature': (exchange) => signedBy(exchange, (octets) => octets.subarray(1)),
  'other-key': (exchange) => {
    const { version, vaultUrl, request } = exchange
    if (version === undefined) return exchange.answer
    return signature(vaultUrl, { ...version, privateKey: anotherLike(version) }, request)
  },
  'other-version': ({ vaultUrl, versions, version, request, answer }) => {
    const other = versions.find((each) => each !== version)
    if (other === undefined) return answer
    return request === undefined
      ? { status: 200, body: bundleOf(vaultUrl, other) }
      : signature(vaultUrl, other, request)
  },
  'other-version-unnamed': (exchange) => {
    const { vaultUrl, versions, version, request } = exchange
    const other = versions.find((each) => each !== version)
    if (other === undefined || version === undefined) return exchange.answer
    const { status, body } = signature(vaultUrl, other, request)
    return { status, body: { .../** @type {object} */ (body), kid: kidOf(vaultUrl, version) } }
  },
  'der-signature': (exchange) => signedWith(exchange, (key, digest) => ecdsa(key, digest, 'der')),
  'pss-is-pkcs1': (exchange) =>
    signedWith(exchange, (key, digest, hash) => rsaPkcs1(key, digest, hash)),
  'es384-by-p256': (exchange) =>
    signedWith(exchange, (_key, digest) => ecdsa(newKey('P-256'), digest, 'raw')),

  'padded-n': (exchange) => rekeyed(exchange, ({ n = '', ...rest }) => ({ ...rest, n: padded(n) })),
  'short-coordinate': (exchange) =>
    rekeyed(exchange, ({ x = '', y = '', ...rest }) => ({
      ...rest,
      x: stripped(x),
      y: stripped(y),
    })),
  'every-ec-p256': (exchange) =>
    rekeyed(exchange, (jwk) => ({ ...jwk, ...publicMembers(newKey('P-256')) })),
  'curve-misnamed': (exchange) => rekeyed(exchange, (jwk) => ({ ...jwk, crv: 'P-384' })),
  'other-public-key': (exchange) => {
    const { version } = exchange
    if (version === undefined) return exchange.answer
    return rekeyed(exchange, (jwk) => ({ ...jwk, ...publicMembers(anotherLike(version)) }))
  },
  'no-public-key': (exchange) => rekeyed(exchange, ({ x: _x, y: _y, ...rest }) => rest),
  'not-on-curve': (exchange) => rekeyed(exchange, ({ x = '', ...rest }) => ({ ...rest, x, y: x })),
  'unknown-type': (exchange) => rekeyed(exchange, (jwk) => ({ ...jwk, kty: 'unheard-of' })),
  'with-private-half': (exchange) => {
    const { d } = keyPair('P-256', foreign).privateKey.export({ format: 'jwk' })
    return rekeyed(exchange, (jwk) => ({ ...jwk, d }))
  },
  'kid-elsewhere': (exchange) =>
    rekeyed(exchange, (jwk) => ({
      ...jwk,
      kid: String(jwk['kid']).replace(/^https:\/\/[^/]+/, 'https://elsewhere.vault.azure.net'),
    })),
  'no-kid': (exchange) => rekeyed(exchange, ({ kid: _, ...rest }) => rest),
  'no-version': (exchange) =>
    rekeyed(exchange, (jwk) => ({ ...jwk, kid: String(jwk['kid']).replace(/\/[^/]+$/, '') })),
  'no-key': () => ({ status: 200, body: { attributes: { enabled: true } } }),
  'disabled-get-refused': ({ version, answer }) =>
    version?.enabled === false
      ? refusal(403, 'Forbidden', 'Operation get is not allowed on a disabled key.', 'KeyDisabled')
      : answer,
}

/** @typedef {keyof typeof faults} Fault */

/** @typedef {Record<string, string | undefined>} Members */

/**
 * @param {import('./errors.js').Answer} answer
 * @param {(error: Record<string, unknown>) => object} change
 */
function withError(answer, change) {
  const { error } = /** @type {{ error?: Record<string, unknown> }} */ (answer.body)
  return error === undefined ? answer : { ...answer, body: { error: change(error) } }
}

/**
 * @param {Exchange} exchange
 * @param {(body: Record<string, unknown>) => object} change
 * @returns {import('./errors.js').Answer}
 */
function changed({ answer }, change) {
  if (answer.status !== 200) return answer
  return { ...answer, body: change(/** @type {Record<string, unknown>} */ (answer.body)) }
}

/**
 * @param {Exchange} exchange
 * @param {(jwk: Members) => Members} change
 */
function rekeyed(exchange, change) {
  return changed(exchange, (bundle) => ({
    ...bundle,
    key: change(/** @type {Members} */ (bundle['key'])),
  }))
}

/**
 * @param {Exchange} exchange
 * @param {(octets: Buffer) => Uint8Array} change
 */
function signedBy(exchange, change) {
  return changed(exchange, ({ kid, value }) => {
    const octets = Buffer.from(String(value), 'base64url')
    return { kid, value: Buffer.from(change(octets)).toString('base64url') }
  })
}

/**
 * @param {Exchange} exchange
 * @param {(key: import('node:crypto').KeyObject, digest: Buffer, hash: import('./store.js').Hash) => Buffer} sign
 */
function signedWith(exchange, sign) {
  const { version, request } = exchange
  const hash = algorithms[request?.alg ?? '']?.hash
  if (version === undefined || hash === undefined) return exchange.answer
  const digest = Buffer.from(request?.value ?? '', 'base64url')
  return signedBy(exchange, () => sign(version.privateKey, digest, hash))
}

/** @param {string} curve */
const newKey = (curve) => generateKeyPairSync('ec', { namedCurve: curve }).privateKey

/** @param {import('./store.js').Version} version */
function anotherLike({ privateKey }) {
  const { namedCurve, modulusLength } = privateKey.asymmetricKeyDetails ?? {}
  if (namedCurve !== undefined) return newKey(namedCurve)
  const kind = /** @type {'RSA-2048'} */ (`RSA-${modulusLength}`)
  return keyPair(kind, foreign).privateKey
}

/** No key of a test is that far down. */
const foreign = 99

/** @param {import('node:crypto').KeyObject} key */
function publicMembers(key) {
  const { kty: _, ...members } = createPublicKey(key).export({ format: 'jwk' })
  return /** @type {Members} */ (members)
}

/** @param {string} octets */
const padded = (octets) =>
  Buffer.concat([Buffer.alloc(1), Buffer.from(octets, 'base64url')]).toString('base64url')

/** @param {string} octets */
function stripped(octets) {
  const decoded = Buffer.from(octets, 'base64url')
  return decoded.subarray(decoded.findIndex((octet) => octet !== 0)).toString('base64url')
}
