// @ts-check
import { Agent, createServer } from 'node:https'
import { text } from 'node:stream/consumers'

/**
 * One request, in order of arrival.
 *
 * @typedef {object} KeyVaultRequest
 * @property {string} method
 * @property {string} host
 * @property {string} path  with the query
 * @property {string | undefined} token
 * @property {string} body
 * @property {boolean} authorized  whether its token was accepted
 * @property {'get' | 'sign' | 'other'} operation
 * @property {string} name  of the key
 * @property {string} version  empty for the newest
 * @property {number | undefined} status  undefined until it is answered
 * @property {boolean} [cut]  whether the client closed the connection before it was answered
 */

/**
 * Listens on a free port of 127.0.0.1, and answers each request with its outcome.
 *
 * @param {{ key: string, cert: string }} tls
 * @param {(request: KeyVaultRequest) => Promise<import('./faults.js').Outcome>} handle
 */
export async function listen(tls, handle) {
  const server = createServer(tls, async (incoming, response) => {
    response.on('error', () => {})
    const body = await text(incoming).catch(() => undefined)
    if (body === undefined) return
    const request = readRequest(incoming, body)
    response.once('close', () => {
      request.cut = !response.writableFinished
    })
    const outcome = await handle(request)
    if (outcome === 'hang') return
    if (outcome === 'cut') {
      incoming.socket.destroy()
    } else if (outcome === 'cut-short') {
      response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': 4096 })
      response.write('{"kid":"', () => incoming.socket.destroy())
    } else {
      request.status = outcome.status
      send(response, outcome)
    }
  })
  // The server does not keep a program alive that has started it and has finished.
  server.unref()
  server.on('connection', (/** @type {import('node:net').Socket} */ socket) => socket.unref())
  await new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => resolve(undefined))
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no TCP port was bound')
  return {
    port: address.port,
    /** @returns {Promise<void>} */
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

const keyPath = /^\/keys\/([^/]+)(?:\/([^/]*))?(?:\/([^/]+))?$/

/**
 * @param {import('node:http').IncomingMessage} incoming
 * @param {string} body
 * @returns {KeyVaultRequest}
 */
function readRequest({ method = '', url: path = '', headers }, body) {
  const [, name = '', version = '', verb = ''] = keyPath.exec(path.replace(/\?.*/, '')) ?? []
  const isGet = method === 'GET' && name !== '' && verb === ''
  const isSign = method === 'POST' && verb === 'sign'
  return {
    method,
    host: headers.host ?? '',
    path,
    token: /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1],
    body,
    authorized: false,
    operation: isGet ? 'get' : isSign ? 'sign' : 'other',
    name,
    version,
    status: undefined,
  }
}

/**
 * @param {import('node:http').ServerResponse} response
 * @param {import('./errors.js').Answer} answer
 */
function send(response, { status, body, headers }) {
  const isPage = typeof body === 'string'
  const content = isPage || body === undefined ? (body ?? '') : JSON.stringify(body)
  const type = isPage ? 'text/html' : 'application/json; charset=utf-8'
  response.writeHead(status, {
    ...(content === '' ? {} : { 'Content-Type': type }),
    'Cache-Control': 'no-cache',
    ...headers,
  })
  response.end(content)
}

/** Connects to this machine for any host name, and checks the certificate for that name. */
export class LoopbackAgent extends Agent {
  /**
   * @param {import('node:https').AgentOptions & { host?: string }} options
   * @param {() => void} callback
   * @override
   */
  createConnection(options, callback) {
    const connect =
      /** @type {{ createConnection: (...parameters: unknown[]) => import('node:stream').Duplex }} */ (
        /** @type {unknown} */ (Agent.prototype)
      ).createConnection
    return connect.call(this, { ...options, host: '127.0.0.1', servername: options.host }, callback)
  }
}
