import { timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'

/** The path of the local MCP server. */
export const serverPath = '/mcp'

/** Who may send requests. */
export interface Access {
  /** What a host on TCP sends as a bearer token; `undefined` on a Unix socket, where the file decides. */
  readonly secret: Buffer | undefined
  /** The accepted values of the header `Host` on TCP: a web page could make another name lead here. */
  readonly hosts: readonly string[]
  /** Values of the header `Origin` that are accepted. */
  readonly origins: readonly string[]
}

/** The status and the text for a request that is not forwarded; `undefined` for one that is. */
export function refusalOf(
  { headers, url, method }: IncomingMessage,
  { secret, hosts, origins }: Access,
): [number, string] | undefined {
  const { host = '', origin, authorization = '' } = headers
  if (secret !== undefined && !hosts.includes(host.toLowerCase())) {
    return [403, 'the header Host must name the address that the proxy listens on']
  }
  if (origin !== undefined && !origins.includes(origin)) {
    return [403, 'requests with a header Origin are refused; see --allow-origin']
  }
  // A browser sends it without the secret, and without any other header of the request that follows.
  if (isPreflight({ headers, method }) && url === serverPath) return undefined
  const [, given = ''] = /^Bearer +(.*)$/i.exec(authorization) ?? []
  if (secret !== undefined && !isEqual(Buffer.from(given), secret)) {
    return [401, 'the secret of the proxy is missing or wrong']
  }
  if (url !== serverPath) return [404, `the path of the MCP server is ${serverPath}`]
  if (!['POST', 'GET', 'DELETE'].includes(method ?? '')) {
    return [405, 'the method must be POST, GET or DELETE']
  }
  return undefined
}

/** Compares a secret in constant time; its length is not secret. */
const isEqual = (one: Buffer, other: Buffer): boolean =>
  one.length === other.length && timingSafeEqual(one, other)

/** Whether a browser asks what requests a web page may send. */
export const isPreflight = ({
  headers,
  method,
}: Pick<IncomingMessage, 'headers' | 'method'>): boolean =>
  method === 'OPTIONS' && headers['access-control-request-method'] !== undefined

/** Lets a web page of an accepted origin send requests and read the responses, as the Fetch standard describes. */
export function allowOrigin({ headers }: IncomingMessage, response: ServerResponse): void {
  const { origin, 'access-control-request-headers': wanted = '' } = headers
  if (origin === undefined) return
  response.setHeader('access-control-allow-origin', origin)
  response.setHeader('vary', 'origin')
  response.setHeader('access-control-expose-headers', 'mcp-session-id, mcp-protocol-version')
  response.setHeader('access-control-allow-methods', 'POST, GET, DELETE')
  if (/^[\w, -]+$/.test(wanted)) response.setHeader('access-control-allow-headers', wanted)
}
