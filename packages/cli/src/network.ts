import { describeNetworkFailure, mayBeLoopback } from '@countersign/core/backend'
import type { Agent } from 'undici'
import { UsageError } from './errors.ts'
import { registerSecret } from './output.ts'

/** The variables in the order in which they are read: lower case first, as curl does. */
const names = ['https_proxy', 'HTTPS_PROXY', 'http_proxy', 'HTTP_PROXY'] as const

/** The proxy in use, for messages: its origin, and the variable that names it. */
let proxyInUse: string | undefined

/**
 * Makes `fetch` send its requests through the proxy that the environment names. Without a proxy and without settings of
 * the connections, it does nothing.
 *
 * The proxy is `HTTPS_PROXY`, or else `HTTP_PROXY`. Hosts in `NO_PROXY`, and always loopback, are reached directly. This
 * is the same on every version of Node.js, with `NODE_USE_ENV_PROXY` and without. TLS ends at the server: the proxy gets
 * a CONNECT request, which has only host and port.
 *
 * @param connections - settings of undici for every connection, such as its timeouts.
 * @throws {@link UsageError} when the variable is not the URL of an HTTP proxy.
 */
export async function useProxy(connections?: Agent.Options): Promise<void> {
  const name = names.find((one) => process.env[one])
  if (name === undefined && connections === undefined) return
  const proxy = name === undefined ? undefined : parseProxy(name, process.env[name] ?? '')
  const { Agent, EnvHttpProxyAgent, install, setGlobalDispatcher } = await import('undici')
  const direct = new Agent(connections)
  if (proxy === undefined) {
    setGlobalDispatcher(direct)
    install()
    return
  }
  const proxied = new EnvHttpProxyAgent({
    ...connections,
    httpProxy: proxy.href,
    httpsProxy: proxy.href,
    noProxy: process.env['no_proxy'] || process.env['NO_PROXY'] || '',
  })
  setGlobalDispatcher(
    proxied.compose(
      (dispatch) => (options, handler) =>
        mayBeLoopback(new URL(options.origin ?? '').hostname)
          ? direct.dispatch(options, handler)
          : dispatch(options, handler),
    ),
  )
  // The fetch of Node.js accepts only dispatchers of its own version of undici.
  install()
  proxyInUse = `${proxy.origin} (${name})`
}

function parseProxy(name: string, value: string): URL {
  const url = URL.canParse(value) ? new URL(value) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.hostname === '') {
    throw new UsageError(
      `${name} is not the URL of an HTTP proxy; write it as http://proxy.example.com:3128, or unset it`,
    )
  }
  if (url.password !== '') registerSecret(decodeURIComponent(url.password))
  return url
}

/** Describes why a server cannot be reached, and what to check; `undefined` for an error of another kind. */
export function describeUnreachable(error: unknown): string | undefined {
  const proxy = proxyInUse
  const status = proxyStatus(error)
  if (proxy !== undefined && status !== undefined) {
    return `the proxy ${proxy} refuses the connection with HTTP status ${status}`
  }
  const [, why] = describeNetworkFailure(error, '')?.message.split(/: (.*)/s) ?? []
  if (why === undefined || proxy === undefined) return why
  return `${why}; the request went through the proxy ${proxy}`
}

/** The status of the response to CONNECT, which undici reports only in the message of its error. */
function proxyStatus(error: unknown, depth = 5): string | undefined {
  if (!(error instanceof Error)) return undefined
  const [, status] = /^Proxy response \((\d{3})\)/.exec(error.message) ?? []
  return status ?? (depth > 0 ? proxyStatus(error.cause, depth - 1) : undefined)
}
