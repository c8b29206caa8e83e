import { once } from 'node:events'
import { get } from 'node:https'
import { createServer, connect as netConnect } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Connections, watchConnections } from './connections.js'

let connections: Connections
beforeEach(() => {
  connections = watchConnections()
})
afterEach(() => connections.stop())

test('a connection on this machine is made and recorded', async () => {
  const server = createServer((socket) => socket.end()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  await once(netConnect(port, '127.0.0.1').resume(), 'close')
  server.close()
  expect(connections.hosts).toEqual(['127.0.0.1'])
  expect(connections.abroad()).toEqual([])
})

test.each(['http://169.254.169.254/latest/meta-data', 'http://192.0.2.1/'])(
  'fetch does not reach %s',
  async (url) => {
    await expect(fetch(url)).rejects.toThrow()
    expect(connections.abroad()).toEqual([new URL(url).hostname])
  },
)

test('TLS to a host elsewhere is not started', async () => {
  const request = get('https://kms.example.invalid/')
  const [error] = await once(request, 'error')
  expect(error).toMatchObject({ code: 'EHOSTUNREACH' })
  expect(connections.abroad()).toEqual(['kms.example.invalid'])
})
