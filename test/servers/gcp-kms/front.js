// @ts-check
import { once } from 'node:events'
import { createServer } from 'node:net'

const html = '<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>'
const badGateway = `HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: ${html.length}\r\nConnection: close\r\n\r\n${html}`

/** What HTTP/2, and so gRPC, begins with (RFC 9113 §3.4). */
const preface = 'PRI *'

/**
 * A port that speaks HTTP/2 and HTTP/1, and whose connections can be cut or answered by a gateway.
 *
 * @typedef {object} Front
 * @property {number} port
 * @property {() => void} cut  every connection there is
 * @property {() => number} connections  how many are open
 * @property {(isUp: boolean) => void} gateway  whether each new connection is answered with a page of HTML
 * @property {() => Promise<void>} close
 *
 * @param {object} ends
 * @param {(socket: import('node:net').Socket) => void} ends.http2
 * @param {(socket: import('node:net').Socket) => void} ends.http1
 * @param {number} [port]
 * @returns {Promise<Front>}
 */
export async function openFront({ http2, http1 }, port = 0) {
  /** @type {Set<import('node:net').Socket>} */
  const sockets = new Set()
  let isGateway = false
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    if (isGateway) {
      socket.end(badGateway)
      return
    }
    socket.once('readable', () => {
      const start = socket.read()
      if (start === null) return
      socket.unshift(start)
      if (start.toString('latin1').startsWith(preface)) http2(socket)
      else http1(socket)
    })
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no TCP port was bound')

  function cut() {
    for (const socket of sockets) socket.resetAndDestroy()
  }

  return {
    port: address.port,
    cut,
    connections: () => sockets.size,
    gateway(isUp) {
      if (isUp !== isGateway) cut()
      isGateway = isUp
    },
    close() {
      cut()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
