// @ts-check
import { createPublicKey } from 'node:crypto'
import { listenOnLoopback } from '../servers/loopback.js'
import { ecdsa, rsaPkcs1 } from '../support/digest-signature.js'

/**
 * @typedef {object} KeyService
 * @property {string} url
 * @property {string} token
 * @property {Set<string>} sessions  that are open
 * @property {number | undefined} failing  status of every answer about a key, while it is set
 * @property {(name: string, privateKey: import('node:crypto').KeyObject, algorithms: string[]) => void} addVersion
 * @property {() => Promise<void>} close
 */

/**
 * Starts an HTTP key service on 127.0.0.1 whose keys sign: the Acme Vault of docs/writing-a-signer.md.
 *
 * It signs digests, of ECDSA as DER, and only within a session.
 *
 * @returns {Promise<KeyService>}
 */
export async function startKeyService() {
  const token = 'acme-token-CANARY'
  /** @type {Map<string, { privateKey: import('node:crypto').KeyObject, algorithms: string[] }[]>} */
  const keys = new Map()
  const sessions = new Set()
  let opened = 0

  /** @returns {[status: number, body?: object]} */
  function answer(
    /** @type {string} */ method,
    /** @type {string} */ path,
    /** @type {any} */ body,
  ) {
    const [, collection, name = '', , version, action] = path.replace('/v1', '').split('/')
    if (collection === 'sessions') {
      if (method === 'DELETE') return [sessions.delete(name) ? 200 : 404, {}]
      const session = `session-${++opened}`
      sessions.add(session)
      return [200, { session }]
    }
    if (service.failing !== undefined) return [service.failing]
    const versions = keys.get(name) ?? []
    const number = version === 'newest' ? versions.length : Number(version)
    const key = versions[number - 1]
    if (key === undefined) return [404]
    const { privateKey, algorithms } = key
    if (action !== 'sign') {
      const publicKey = createPublicKey(privateKey).export({ format: 'pem', type: 'spki' })
      return [200, { version: number, algorithms, publicKey }]
    }
    if (!sessions.has(body.session) || !algorithms.includes(body.alg)) return [403]
    const digest = Buffer.from(body.input, 'base64')
    const signature =
      body.alg === 'ES256'
        ? ecdsa(privateKey, digest, 'der')
        : rsaPkcs1(privateKey, digest, 'sha256')
    return [200, { signature: signature.toString('base64') }]
  }

  const { origin, close } = await listenOnLoopback(async (request, response) => {
    let text = ''
    for await (const chunk of request.setEncoding('utf8')) text += chunk
    const [status, body = {}] =
      request.headers.authorization === `Bearer ${token}`
        ? answer(request.method ?? '', request.url ?? '', text === '' ? {} : JSON.parse(text))
        : /** @type {[number]} */ ([401])
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(JSON.stringify(body))
  })

  /** @type {KeyService} */
  const service = {
    url: origin,
    token,
    sessions,
    failing: undefined,
    addVersion(name, privateKey, algorithms) {
      keys.set(name, [...(keys.get(name) ?? []), { privateKey, algorithms }])
    },
    close,
  }
  return service
}
