// @ts-check
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'

/**
 * @typedef {object} ConnectProxy
 * @property {string} url  `http://127.0.0.1:PORT`
 * @property {readonly { target: string, authorization: string | undefined }[]} tunnels  that were requested, in order
 * @property {readonly string[]} requests  whatever else than CONNECT arrived
 * @property {() => Promise<void>} close
 */

/**
 * An HTTP proxy that opens tunnels by CONNECT (RFC 9110 §9.3.6), and resolves names itself: its clients need no
 * DNS for them.
 *
 * @param {Readonly<Record<string, string>>} hosts  `HOST:PORT` that clients request, and the URL of the server on
 *   loopback behind it
 * @param {{ credentials?: string }} [options]  `USER:PASSWORD` that clients must give
 * @returns {Promise<ConnectProxy>}
 */
export async function startConnectProxy(hosts, { credentials } = {}) {
  /** @type {{ target: string, authorization: string | undefined }[]} */
  const tunnels = []
  /** @type {string[]} */
  const requests = []
  /** @type {Set<import('node:stream').Duplex>} */
  const open = new Set()
  const expected = credentials && `Basic ${Buffer.from(credentials).toString('base64')}`
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`)
    response.writeHead(400).end()
  })
  server.on('connect', (request, client, head) => {
    const target = request.url ?? ''
    const authorization = request.headers['proxy-authorization']
    tunnels.push({ target, authorization })
    open.add(client)
    client.on('error', () => {}).on('close', () => open.delete(client))
    const host = hosts[target]
    if (authorization !== expected) {
      client.end('HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\n\r\n')
    } else if (host === undefined) {
      client.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')
    } else {
      const upstream = connect(Number(new URL(host).port), '127.0.0.1', () => {
        client.write('HTTP/1.1 200 Connection established\r\n\r\n')
        upstream.write(head)
        client.pipe(upstream).pipe(client)
      })
      upstream.on('error', () => client.destroy()).on('close', () => client.destroy())
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${portOf(server)}`,
    tunnels,
    requests,
    async close() {
      for (const socket of open) socket.destroy()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/**
 * Puts TLS in front of a server on loopback.
 *
 * @param {string} url  of the server
 * @param {{ cert: string, key: string }} identity  in PEM
 * @returns {Promise<{ url: string, close: () => Promise<void> }>}
 */
export async function startTlsFront(url, { cert, key }) {
  const { port } = new URL(url)
  /** @type {Set<import('node:net').Socket>} */
  const open = new Set()
  const server = createTlsServer({ cert, key }, (client) => {
    const upstream = connect(Number(port), '127.0.0.1')
    for (const socket of [client, upstream]) {
      open.add(socket)
      socket.on('error', () => {}).on('close', () => open.delete(socket))
    }
    client.pipe(upstream).pipe(client)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `https://127.0.0.1:${portOf(server)}`,
    async close() {
      for (const socket of open) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** @param {import('node:net').Server} server */
function portOf(server) {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no TCP port was bound')
  return address.port
}
