import { generateKeyPairSync } from 'node:crypto'
import { createServer as createHttpServer, get } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { describeNetworkFailure } from '@countersign/core/backend'
import { describe, expect, it, onTestFinished } from 'vitest'
import { certificateFor } from '../../../test/support/certificate.js'
import { thrown } from './outcome.ts'

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

/** A server that does something to each connection once it hears a request. */
const answering = (answer: (socket: Socket) => void) =>
  listen(
    createServer((socket) => {
      socket.on('error', () => {})
      socket.once('data', () => answer(socket))
    }),
  )

/** A port that nothing listens on. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

const clients = {
  fetch: async (url: string) => void (await (await fetch(url)).text()),
  'node:http': (url: string) =>
    new Promise<void>((resolve, reject) => {
      get(url, (response) => {
        response.on('error', reject).on('end', resolve).resume()
      }).on('error', reject)
    }),
}

describe.each(Object.entries(clients))('an error of %s', (_client, request) => {
  const failing = async (port: number) => thrown(() => request(`http://127.0.0.1:${port}/`))

  it.each<[string, () => Promise<number>, RegExp]>([
    ['nothing listens', freePort, /nothing listens there \(ECONNREFUSED\)/],
    [
      'the connection is reset',
      () => answering((socket) => socket.resetAndDestroy()),
      /the connection was cut/,
    ],
    ['the connection ends', () => answering((socket) => socket.end()), /the connection was cut/],
    [
      'the answer is cut short',
      () =>
        answering((socket) => {
          socket.write('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc')
          setTimeout(() => socket.destroy(), 10)
        }),
      /the connection was cut/,
    ],
    [
      'something else speaks there',
      () => answering((socket) => socket.end('SSH-2.0-OpenSSH\r\n')),
      /it does not speak HTTP there/,
    ],
  ])('when %s is ERR_SIGNER_UNAVAILABLE, and says so', async (_what, server, why) => {
    const error = await failing(await server())
    for (const seen of [
      error,
      new Error('vendor', { cause: new Error('SDK', { cause: error }) }),
    ]) {
      const failure = describeNetworkFailure(seen, 'My Vault')
      expect(failure?.code).toBe('ERR_SIGNER_UNAVAILABLE')
      expect(failure?.retryable).toBeUndefined()
      expect(failure?.message).toMatch(why)
      expect(failure?.message).toMatch(/^My Vault cannot be reached: .*; check endpoint/)
      expect(failure?.message).not.toContain('127.0.0.1')
    }
  })
})

it('a server that speaks no TLS is said not to', async () => {
  const port = await listen(createHttpServer((_, response) => response.end()))
  const error = await thrown(() => fetch(`https://127.0.0.1:${port}/`))
  expect(describeNetworkFailure(error, 'My Vault')?.message).toMatch(/does not speak TLS there/)
})

it('a server whose certificate is not trusted is not tried again', async () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const der = certificateFor(publicKey).toString('base64')
  const server = createHttpsServer({
    key: privateKey.export({ format: 'pem', type: 'pkcs8' }),
    cert: `-----BEGIN CERTIFICATE-----\n${der}\n-----END CERTIFICATE-----`,
  })
  const port = await listen(server)
  const error = await thrown(() => fetch(`https://127.0.0.1:${port}/`))
  const failure = describeNetworkFailure(error, 'My Vault')
  expect(failure).toMatchObject({ code: 'ERR_SIGNER_UNAVAILABLE', retryable: false })
  expect(failure?.message).toMatch(/certificate is not trusted .*NODE_EXTRA_CA_CERTS/)
})

it('a name that is not known is said not to be', async () => {
  const lookup: NonNullable<Parameters<typeof get>[1]> = {
    lookup: (_host, _options, done) =>
      done(Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND' }), '', 4),
  }
  const error = await thrown(
    () =>
      new Promise((_, reject) => {
        get('http://vault.test/', lookup, () => {}).on('error', reject)
      }),
  )
  expect(describeNetworkFailure(error, 'My Vault')?.message).toMatch(/its name is not known/)
})

it('each of several addresses is looked at', async () => {
  const port = await freePort()
  const error = await thrown(
    () =>
      new Promise((_, reject) => {
        connect({
          host: 'vault.test',
          port,
          autoSelectFamily: true,
          lookup: (_host, _options, done) =>
            (done as (error: null, all: object[]) => void)(null, [
              { address: '127.0.0.1', family: 4 },
              { address: '127.0.0.2', family: 4 },
            ]),
        }).on('error', reject)
      }),
  )
  expect(error).toBeInstanceOf(AggregateError)
  const { errors } = error as AggregateError
  for (const seen of [
    error,
    new AggregateError(errors),
    new Error('', { cause: new AggregateError(errors) }),
  ]) {
    expect(describeNetworkFailure(seen, 'My Vault')?.message).toMatch(/nothing listens there/)
  }
})

describe('what is no failure of the network', () => {
  const cyclic: { cause?: unknown; errors?: unknown[] } = {}
  cyclic.cause = cyclic
  cyclic.errors = [cyclic, cyclic]
  const deep = Array.from({ length: 50 }).reduce((cause: unknown) => ({ cause }), {
    code: 'ECONNREFUSED',
  } as unknown)

  it.each([
    undefined,
    null,
    'ECONNREFUSED',
    42,
    new Error('ECONNREFUSED'),
    { code: 111 },
    { code: 'AccessDenied' },
    { code: 'toString' },
    { errors: 'ECONNREFUSED' },
    cyclic,
    deep,
  ])('has no name here: %o', (error) => {
    expect(describeNetworkFailure(error, 'My Vault')).toBeUndefined()
  })
})
