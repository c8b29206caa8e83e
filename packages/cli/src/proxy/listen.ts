import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { isLoopback, onAbort } from '@countersign/core/backend'
import { UsageError } from '../errors.ts'
import { serverPath } from './http-access.ts'
import { HttpHandler } from './http-handler.ts'
import type { ForwardOptions } from './server-messages.ts'

/** Options of {@link serveHttp}. */
export interface ListenOptions extends ForwardOptions {
  /** `HOST:PORT` with a loopback host, or `unix:PATH`. */
  readonly address: string
  /** What a host on TCP sends as a bearer token. */
  readonly secret: string
  /** Values of the header `Origin` that are accepted; none by default. */
  readonly origins: readonly string[]
  /** Ends the proxy. Requests under way may take 2 s longer. */
  readonly signal: AbortSignal
}

const mostConnections = 512
const interruptionMs = 2000

/**
 * Serves Streamable HTTP on a loopback port or on a Unix socket until the signal aborts. Requests and responses are
 * passed through, with the authorization of the proxy in place of the host's.
 *
 * @throws {@link UsageError} when the address is not one of this machine; the signal's reason.
 */
export async function serveHttp(options: ListenOptions): Promise<void> {
  const { address, secret, signal, notice } = options
  const stop = new AbortController()
  const isTcp = !address.startsWith('unix:')
  const handler = new HttpHandler({
    ...options,
    signal: stop.signal,
    secret: isTcp ? secret : undefined,
  })
  const server = createServer({ requestTimeout: 60_000, headersTimeout: 20_000 })
  server.maxConnections = mostConnections
  server.on('request', (request, response) => void handler.handle(request, response))
  notice(
    `listening on ${isTcp ? await listenOnTcp(server, address, handler) : await listenOnFile(server, address)}`,
  )
  await new Promise<void>((resolve) => {
    onAbort(signal, resolve)
    if (signal.aborted) resolve()
  })
  const closed = once(server, 'close')
  server.close()
  server.closeIdleConnections()
  const timer = setTimeout(() => stop.abort(new Error('the proxy ends')), interruptionMs)
  const late = new Promise<void>((resolve) => onAbort(stop.signal, resolve))
  await Promise.race([closed, late])
  clearTimeout(timer)
  await handler.end()
  stop.abort(new Error('the proxy ends'))
  server.closeAllConnections()
  signal.throwIfAborted()
}

async function listenOnFile(server: Server, address: string): Promise<string> {
  const { listenOnSocket } = await import('@countersign/agent/internal')
  const file = address.slice('unix:'.length)
  await listenOnSocket(server, file)
  return `the Unix socket ${file}, path ${serverPath}`
}

async function listenOnTcp(server: Server, address: string, handler: HttpHandler): Promise<string> {
  const url = URL.canParse(`http://${address}`) ? new URL(`http://${address}`) : undefined
  const [, port] = /:(\d{1,5})$/.exec(address) ?? []
  if (
    url === undefined ||
    port === undefined ||
    !isLoopback(url.hostname) ||
    url.pathname !== '/'
  ) {
    throw new UsageError(
      '--listen takes 127.0.0.1:PORT, [::1]:PORT or unix:PATH; port 0 chooses a free one',
    )
  }
  server.listen(Number(port), url.hostname.replace(/^\[|\]$/g, ''))
  // Rejects at an error of the server.
  await once(server, 'listening')
  const { port: chosen } = server.address() as AddressInfo
  handler.acceptHosts(chosen)
  return `http://${url.hostname}:${chosen}${serverPath}`
}
