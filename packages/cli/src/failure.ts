import { SignerError } from '@countersign/core'
import { describeNetworkFailure } from '@countersign/core/backend'
import { OAuthError, type OAuthErrorCode } from '@countersign/oauth'
import { CommanderError } from 'commander'
import { type ExitCode, exitCodes } from './exit-code.ts'
import { Interruption } from './interruption.ts'
import { redact, withoutControls } from './redact.ts'
import { UsageError } from './usage-error.ts'

/** How an error appears to whoever ran the command. */
export interface Failure {
  readonly exitCode: ExitCode
  /** A stable string, such as `ERR_SIGNER_KEY_NOT_FOUND`. */
  readonly code: string
  /** One line: what was refused, and what to do. Nothing secret. */
  readonly message: string
  /** The authorization server's `error`, RFC 6749 §5.2, when it sent one. */
  readonly error?: string
}

/** Names any error: its exit code, its code, and one line for people. */
export function describeFailure(error: unknown): Failure {
  const { message, ...rest } = name(error)
  return { ...rest, message: oneLine(message) }
}

function name(error: unknown): Failure {
  if (error instanceof CommanderError) {
    return { exitCode: exitCodes.usage, code: 'ERR_USAGE', message: usage(error) }
  }
  if (error instanceof UsageError) {
    return { exitCode: exitCodes.usage, code: error.code, message: inOptions(error.message) }
  }
  if (error instanceof Interruption) {
    return { exitCode: exitCodes.interrupted, code: error.code, message: error.message }
  }
  if (SignerError.is(error)) {
    const message = inOptions(withCause(error))
    return { exitCode: exitCodes.key, code: error.code, message }
  }
  if (OAuthError.is(error)) {
    return {
      exitCode: isNetwork(error.code) ? exitCodes.network : exitCodes.refused,
      code: error.code,
      message: inOptions(withNetwork(error)) + remedyOf(error),
      ...(error.error === undefined ? {} : { error: error.error }),
    }
  }
  return nameOther(error)
}

/** What the parser of the command line found, without values: one of them may be a secret that does not belong there. */
function usage({ message }: CommanderError): string {
  const said = message
    .replace(/^error: /, '')
    .replace(/(?<=unknown option '--[\w-]+)=[\s\S]*(?=')/, '')
    .replace(/(?<=unknown option '-[^-])[\s\S]+(?=')/, '')
    .replace(/\.$/, '')
  return `${said.slice(0, 1).toUpperCase()}${said.slice(1)}; see countersign --help`
}

const isNetwork = (code: OAuthErrorCode): boolean =>
  code === 'ERR_OAUTH_UNAVAILABLE' || code === 'ERR_OAUTH_TIMEOUT'

/** What the classes of the MCP SDK, of Node and of this command have in common. */
interface Named {
  readonly name?: unknown
  readonly code?: unknown
  readonly status?: unknown
  readonly message?: unknown
}

const sdkNames: readonly unknown[] = [
  'SdkError',
  'SdkHttpError',
  'ProtocolError',
  'UnauthorizedError',
]
const sdkNetwork: readonly unknown[] = ['REQUEST_TIMEOUT', 'CONNECTION_CLOSED', 'SEND_FAILED']

function nameOther(error: unknown): Failure {
  const { name, code, message } = (error ?? {}) as Named
  const network = describeNetworkFailure(error, 'The server')
  if (network !== undefined) {
    return { exitCode: exitCodes.network, code: 'ERR_NETWORK', message: network.message }
  }
  if (name === 'TypeError' && message === 'fetch failed') {
    const { cause } = error as { readonly cause?: Named }
    const why = `The server cannot be reached: ${String(cause?.message ?? 'nothing says why')}`
    return { exitCode: exitCodes.network, code: 'ERR_NETWORK', message: why }
  }
  if (name === 'TimeoutError') {
    const message = 'Nothing was answered in time; raise --timeout if it needs longer'
    return { exitCode: exitCodes.network, code: 'ERR_TIMEOUT', message }
  }
  if (sdkNames.includes(name)) {
    const status = statusOf(error)
    const isFault = sdkNetwork.includes(code) || status === 429 || status >= 500
    const hint = status === 404 || status === 405 ? '; compare its URL' : ''
    return {
      exitCode: isFault ? exitCodes.network : exitCodes.refused,
      code: 'ERR_MCP',
      message: `The MCP server: ${String(message)}${hint}`,
    }
  }
  return {
    exitCode: exitCodes.internal,
    code: 'ERR_UNEXPECTED',
    message: `${String(message ?? error)}; this is unexpected: run it again with --verbose and report what it says`,
  }
}

/** HTTP status of the answer that an error of the SDK is about; 0 when there was none. */
function statusOf(error: unknown): number {
  const { status, data } = error as Named & { readonly data?: { readonly status?: unknown } }
  return Number(status ?? data?.status ?? 0)
}

/** A failure that only its cause explains. */
function withCause({ message, cause }: SignerError): string {
  const unexplained = /; the cause says why$/
  if (!unexplained.test(message) || !(cause instanceof Error)) return message
  return message.replace(unexplained, `: ${cause.name}: ${cause.message}`)
}

/** Why a server could not be reached, when its system error says so. */
function withNetwork({ message, cause }: OAuthError): string {
  const network = describeNetworkFailure(cause, '')?.message
  const why = network?.slice(network.indexOf(':') + 2)
  return why === undefined ? message : `${message}: ${why}`
}

/** What programs call it, and what it is called on the command line. */
const optionNames: readonly (readonly [RegExp, string])[] = [
  [/(?:set )?"allowSharedFiles"/g, 'give --allow-shared-files'],
  [/"timeoutSeconds"/g, '--timeout'],
  [/"clientId"/g, '--client-metadata'],
  [/"jwksUri"/g, '--jwks-uri'],
  [/"clientName"/g, '--client-name'],
  [/give the signer the option alg: '([\w-]+)'/g, 'add alg=$1 to the query of the key URI'],
]

/** A message with the names that options have on the command line. */
export function inOptions(message: string): string {
  return optionNames.reduce((rest, [name, option]) => rest.replaceAll(name, option), message)
}

const remedies: Readonly<Record<string, string>> = {
  invalid_client:
    'register the public key (countersign jwks KEY) with this client, and compare client ID, algorithm and clock',
  unauthorized_client: 'allow the client the grant client_credentials',
  unsupported_grant_type: 'enable the grant client_credentials on the server',
  invalid_scope: 'ask for a scope that the client may have, by --scope',
  invalid_target: 'let the server issue tokens for this resource, or name another by --resource',
}

function remedyOf({ error }: OAuthError): string {
  const remedy = error === undefined ? undefined : remedies[error]
  return remedy === undefined ? '' : `; ${remedy}`
}

const longest = 2000

function oneLine(message: string): string {
  const line = withoutControls(redact(message).replaceAll(/\s*[\r\n\t]+\s*/g, ' ')).trim()
  return line.length > longest ? `${line.slice(0, longest)}…` : line
}
