// @ts-check
import { createServer } from 'node:http'

/**
 * One request as it arrived, recorded for tests.
 *
 * @typedef {object} RecordedRequest
 * @property {string} method
 * @property {string} path  path and query, as sent
 * @property {import('node:http').IncomingHttpHeaders} headers
 * @property {string | undefined} bearer  the token of an `Authorization: Bearer` header
 * @property {number | undefined} status  undefined until the answer has begun
 */

/**
 * @typedef {object} LoopbackServer
 * @property {string} origin  `http://127.0.0.1:PORT`, without a slash at the end
 * @property {RecordedRequest[]} requests  oldest first
 * @property {() => Promise<void>} close  ends every connection, idle or not, and frees the port
 * @property {() => Promise<void>} reopen  listens on the same port again after `close`
 */

/**
 * Listens on a free port of 127.0.0.1 and records every request.
 *
 * @param {(request: import('node:http').IncomingMessage, response: import('node:http').ServerResponse) => void} listener
 * @returns {Promise<LoopbackServer>}
 */
export async function listenOnLoopback(listener) {
  /** @type {RecordedRequest[]} */
  const requests = []
  const server = createServer((request, response) => {
    const { method = '', url = '', headers } = request
    const bearer = /^Bearer +(.+)$/i.exec(headers.authorization ?? '')?.[1]
    requests.push({
      method,
      path: url,
      headers,
      bearer,
      get status() {
        return response.headersSent ? response.statusCode : undefined
      },
    })
    listener(request, response)
  })
  /** @param {number} port */
  const listen = (port) =>
    new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, '127.0.0.1', () => resolve(undefined))
    })
  await listen(0)
  const port = portOf(server)

  /** @type {Promise<void> | undefined} */
  let closing
  return {
    origin: `http://127.0.0.1:${port}`,
    requests,
    close() {
      closing ??= new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
      return closing
    },
    async reopen() {
      await closing
      closing = undefined
      await listen(port)
    },
  }
}

/** @param {import('node:http').Server} server */
function portOf(server) {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no TCP port was bound')
  return address.port
}
