import { mayBeLoopback } from '@countersign/core/backend'
import { keepSecret } from './redact.ts'
import { UsageError } from './usage-error.ts'

/** The variables that are read, in this order: lower case first, as curl does. */
const names = ['https_proxy', 'HTTPS_PROXY', 'http_proxy', 'HTTP_PROXY'] as const

let used: string | undefined

/** The proxy that requests go through, for messages: its origin, and the variable that names it. */
export const proxyInUse = (): string | undefined => used

/**
 * Has `fetch` send its requests through the proxy that the environment names. Without one, nothing is changed or loaded.
 *
 * `HTTPS_PROXY`, else `HTTP_PROXY`, is the proxy; hosts that `NO_PROXY` lists, and loopback always, are reached
 * directly. It is the same on every version of Node.js, with `NODE_USE_ENV_PROXY` and without. TLS ends at the server:
 * the proxy is asked for a tunnel by CONNECT, and learns the host and port only.
 *
 * @throws {@link UsageError} when the variable is not the URL of an HTTP proxy.
 */
export async function useProxy(): Promise<void> {
  const name = names.find((one) => process.env[one])
  if (name === undefined) return
  const proxy = parseProxy(name, process.env[name] ?? '')
  const { Agent, EnvHttpProxyAgent, install, setGlobalDispatcher } = await import('undici')
  const direct = new Agent()
  const proxied = new EnvHttpProxyAgent({
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
  // The fetch of Node.js takes dispatchers of its own version only.
  install()
  used = `${proxy.origin} (${name})`
}

function parseProxy(name: string, value: string): URL {
  const url = URL.canParse(value) ? new URL(value) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.hostname === '') {
    throw new UsageError(
      `${name} is not the URL of an HTTP proxy; write it as http://proxy.example.com:3128, or unset it`,
    )
  }
  if (url.password !== '') keepSecret(decodeURIComponent(url.password))
  return url
}
