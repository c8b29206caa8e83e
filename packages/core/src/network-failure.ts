import type { SignerFailure } from './error.ts'

const unreachable: ReadonlyMap<string, string> = new Map([
  ['ECONNREFUSED', 'nothing listens there'],
  ['ECONNRESET', 'the connection was cut'],
  ['EPIPE', 'the connection was cut'],
  ['ECONNABORTED', 'the connection was cut'],
  ['UND_ERR_SOCKET', 'the connection was cut'],
  ['ETIMEDOUT', 'it did not answer'],
  ['ESOCKETTIMEDOUT', 'it did not answer'],
  ['UND_ERR_CONNECT_TIMEOUT', 'it did not answer'],
  ['UND_ERR_HEADERS_TIMEOUT', 'it did not answer'],
  ['ENOTFOUND', 'its name is not known'],
  ['EAI_AGAIN', 'its name could not be looked up'],
  ['EHOSTUNREACH', 'there is no way to it'],
  ['ENETUNREACH', 'there is no way to it'],
  ['EPROTO', 'it does not speak TLS there'],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'it does not speak TLS there'],
])

const untrusted =
  /^(?:CERT_|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_|ERR_TLS_CERT_|HOSTNAME_MISMATCH|INVALID_CA)/

const noHttp = /^(?:HPE_|HTTPParserError$)/

/** How many causes deep to look for a system error. */
const depth = 6

/**
 * Names a failure of the network that a vendor's error is, or has as its cause.
 *
 * @param error - what the vendor's client threw.
 * @param service - name of the service for people, such as `AWS KMS`.
 * @returns `ERR_SIGNER_UNAVAILABLE`, retryable unless the server's certificate is not trusted; `undefined` for an error
 *   of another kind.
 *
 * @example
 * ```ts
 * import { describeNetworkFailure } from '@countersign/core/backend'
 *
 * const failure = describeNetworkFailure(
 *   Object.assign(new Error(), { code: 'ECONNREFUSED' }),
 *   'My Vault',
 * )
 * console.log(failure?.code) // ERR_SIGNER_UNAVAILABLE
 * ```
 *
 * @see [Node.js system errors](https://nodejs.org/api/errors.html#common-system-errors)
 */
export function describeNetworkFailure(error: unknown, service: string): SignerFailure | undefined {
  for (const code of systemCodes(error, depth)) {
    const why = noHttp.test(code) ? 'it does not speak HTTP there' : unreachable.get(code)
    if (why !== undefined) {
      return {
        code: 'ERR_SIGNER_UNAVAILABLE',
        message: `${service} cannot be reached: ${why} (${code}); check endpoint, network and proxy`,
      }
    }
    if (untrusted.test(code)) {
      return {
        code: 'ERR_SIGNER_UNAVAILABLE',
        message: `${service} cannot be reached: its TLS certificate is not trusted (${code}); check the endpoint, and give its CA by NODE_EXTRA_CA_CERTS if it is a private one`,
        retryable: false,
      }
    }
  }
  return undefined
}

function* systemCodes(error: unknown, left: number): Generator<string> {
  if (typeof error !== 'object' || error === null || left === 0) return
  const { name, code, cause, errors } = error as {
    readonly name?: unknown
    readonly code?: unknown
    readonly cause?: unknown
    readonly errors?: unknown
  }
  if (typeof code === 'string') yield code
  // The parser of fetch gives its errors no code on Node.js 24 and later.
  else if (typeof name === 'string') yield name
  // One error for each address that was tried.
  if (Array.isArray(errors)) for (const inner of errors) yield* systemCodes(inner, left - 1)
  yield* systemCodes(cause, left - 1)
}
