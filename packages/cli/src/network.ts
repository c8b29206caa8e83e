import { describeNetworkFailure } from '@countersign/core/backend'
import { proxyInUse } from './proxy.ts'

/** Says why a server cannot be reached, and what to check; `undefined` when an error is of another kind. */
export function describeUnreachable(error: unknown): string | undefined {
  const proxy = proxyInUse()
  const status = proxyStatus(error)
  if (proxy !== undefined && status !== undefined) {
    return `the proxy ${proxy} refuses the connection with HTTP status ${status}`
  }
  const [, why] = describeNetworkFailure(error, '')?.message.split(/: (.*)/s) ?? []
  if (why === undefined || proxy === undefined) return why
  return `${why}; the request went through the proxy ${proxy}`
}

/** The answer to CONNECT, which the library of proxies tells by its message alone. */
function proxyStatus(error: unknown, depth = 5): string | undefined {
  if (!(error instanceof Error)) return undefined
  const [, status] = /^Proxy response \((\d{3})\)/.exec(error.message) ?? []
  return status ?? (depth > 0 ? proxyStatus(error.cause, depth - 1) : undefined)
}
