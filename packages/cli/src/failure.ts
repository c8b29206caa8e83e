import { AgentError } from '@countersign/agent'
import { SignerError } from '@countersign/core'
import { OAuthError, type OAuthErrorCode } from '@countersign/oauth'
import { CommanderError } from 'commander'
import { type ExitCode, exitCodes, Interruption, McpError, UsageError } from './errors.ts'
import { describeUnreachable } from './network.ts'
import { clearProgress, hang, jsonText, redact, widthOf, withoutControls } from './output.ts'
import { inOptions, withInstallAdvice } from './wording.ts'

/** An error as the command reports it. */
export interface Failure {
  readonly exitCode: ExitCode
  /** A stable string, such as `ERR_SIGNER_KEY_NOT_FOUND`. */
  readonly code: string
  /** One line: what was refused, and what to do. It has no secret in it. */
  readonly message: string
  /** The authorization server's `error`, RFC 6749 §5.2, when it sent one. */
  readonly error?: string
}

/**
 * Describes any error: exit code, code, and one line of text.
 *
 * @param timeoutSeconds - the value of `--timeout`, for the message of a timeout.
 */
export function describeFailure(error: unknown, timeoutSeconds?: number): Failure {
  const { message, ...rest } = describe(error)
  const timed =
    timeoutSeconds === undefined
      ? message
      : message.replace(/\bin time\b/, `within ${timeoutSeconds} s`)
  return { ...rest, message: oneLine(timed) }
}

function describe(error: unknown): Failure {
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
    return {
      exitCode: isUsage(error) ? exitCodes.usage : exitCodes.key,
      code: error.code,
      message: withInstallAdvice(inOptions(withCause(error))),
    }
  }
  if (OAuthError.is(error)) {
    return {
      exitCode: isNetwork(error.code) ? exitCodes.network : exitCodes.refused,
      code: error.code,
      message: describeOAuthError(error) + remedyOf(error),
      ...(error.error === undefined ? {} : { error: error.error }),
    }
  }
  if (error instanceof McpError) {
    const { code, message, isNetwork } = error
    return { exitCode: isNetwork ? exitCodes.network : exitCodes.refused, code, message }
  }
  if (AgentError.is(error)) {
    const { code, message, error: refusal } = error
    return {
      ...{ exitCode: exitCodeOfAgent(code), code, message },
      ...(refusal === undefined ? {} : { error: refusal }),
    }
  }
  return describeOther(error)
}

/** An error that the agent passes on has the exit code that it has without an agent. */
function exitCodeOfAgent(code: string): ExitCode {
  if (/^ERR_SIGNER_/.test(code)) return exitCodes.key
  if (/_(?:UNREACHABLE|UNAVAILABLE|TIMEOUT)$/.test(code)) return exitCodes.network
  return /^ERR_AGENT_(?:CLIENT|NOT_ALLOWED|REQUEST)$/.test(code)
    ? exitCodes.usage
    : exitCodes.refused
}

/** The message of commander's error, without values, because the user may have put a secret there. */
function usage({ message }: CommanderError): string {
  const text = message
    .replace(/^error: /, '')
    .replace(/(?<=unknown option '--[\w-]+)=[\s\S]*(?=')/, '')
    .replace(/(?<=unknown option '-[^-])[\s\S]+(?=')/, '')
    .replace(/\.$/, '')
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}; see countersign --help`
}

const isNetwork = (code: OAuthErrorCode): boolean =>
  code === 'ERR_OAUTH_UNAVAILABLE' || code === 'ERR_OAUTH_TIMEOUT'

/** Whether a package or the region of the key is missing, which are errors of usage. */
export function isUsage({ code, message }: SignerError): boolean {
  return (
    code === 'ERR_SIGNER_CONFIG' &&
    /^The package \S+ is not installed|^The AWS region is not known/.test(message)
  )
}

/** The message of an OAuth error, with the reason why a server could not be reached. */
export function describeOAuthError({ message, cause }: OAuthError): string {
  const why = describeUnreachable(cause)
  return inOptions(why === undefined ? message : `${message}: ${why}`)
}

function describeOther(error: unknown): Failure {
  const { name, message, code } = (error ?? {}) as Readonly<Record<string, unknown>>
  if (code === 'ERR_AGENT_CONFIGURATION' || code === 'ERR_AGENT_SOCKET') {
    const { cause } = error as { readonly cause?: unknown }
    const exitCode = SignerError.is(cause) && !isUsage(cause) ? exitCodes.key : exitCodes.usage
    return { exitCode, code, message: withInstallAdvice(inOptions(String(message))) }
  }
  const why = describeUnreachable(error)
  if (why !== undefined || (name === 'TypeError' && message === 'fetch failed')) {
    const { cause } = error as { readonly cause?: { readonly message?: unknown } }
    const reason = why ?? String(cause?.message ?? 'unknown reason')
    const found = `The server cannot be reached: ${reason}`
    return { exitCode: exitCodes.network, code: 'ERR_NETWORK', message: found }
  }
  if (name === 'TimeoutError') {
    const message = 'There was no answer in time; raise --timeout if the server needs longer'
    return { exitCode: exitCodes.network, code: 'ERR_TIMEOUT', message }
  }
  return {
    exitCode: exitCodes.internal,
    code: 'ERR_UNEXPECTED',
    message: `${String(message ?? error)}; this is unexpected: run it again with --verbose and report the output`,
  }
}

/** The message of an error, with that of its cause when the message refers to it. */
function withCause({ message, cause }: SignerError): string {
  const unexplained = /[;.] the cause says why$/i
  if (!unexplained.test(message) || !(cause instanceof Error)) return message
  return message.replace(unexplained, `: ${cause.name}: ${cause.message}`)
}

const remedies: Readonly<Record<string, string>> = {
  invalid_client:
    'register the public key (countersign jwks KEY) with this client, and compare client ID, algorithm and clock; countersign doctor finds the cause',
  unauthorized_client: 'allow the grant client_credentials for the client',
  unsupported_grant_type: 'enable the grant client_credentials on the server',
  invalid_scope: 'request a scope that the client may have, with --scope',
  invalid_dpop_proof:
    'give --dpop if it was left out; else compare the clocks, and the URL that the server has for itself; countersign doctor finds the cause',
  use_dpop_nonce: 'give --dpop if it was left out; countersign doctor finds the cause',
  invalid_target: 'register this resource at the server, or give another one with --resource',
}

function remedyOf({ error }: OAuthError): string {
  const remedy = error === undefined ? undefined : remedies[error]
  return remedy === undefined ? '' : `; ${remedy}`
}

const maxLength = 2000

function oneLine(message: string): string {
  const line = withoutControls(redact(message).replaceAll(/\s*[\r\n\t]+\s*/g, ' ')).trim()
  return line.length > maxLength ? `${line.slice(0, maxLength)}…` : line
}

/** How an error is printed. */
export interface ReportOptions {
  readonly json: boolean
  /** Whether to print the stacks of the error and of its causes. */
  readonly verbose: boolean
  /** How long the command waits for a key or a server. */
  readonly timeoutSeconds?: number | undefined
}

/** Prints an error on standard error, and sets the exit code of the process. */
export function reportFailure(error: unknown, options: ReportOptions): void {
  const { json, verbose, timeoutSeconds } = options
  const { exitCode, ...failure } = describeFailure(error, timeoutSeconds)
  process.exitCode = exitCode
  clearProgress()
  process.stderr.write(
    `${json ? jsonText({ error: failure }) : layOut(failure.message, widthOf(process.stderr))}\n`,
  )
  // The stack of a parser's error starts with its message, which contains the arguments.
  if (verbose && !(error instanceof CommanderError))
    process.stderr.write(`${withoutControls(redact(stackOf(error)))}\n`)
}

/** Lays out a message: one line, or on a terminal one line per suggestion, broken at its width. */
export function layOut(message: string, width: number | undefined): string {
  if (width === undefined) return `countersign: ${message}`
  const [found = '', ...suggestions] = message.split('; ')
  return [
    hang('countersign: ', found, width),
    ...suggestions.map((one) => hang('  - ', one, width)),
  ].join('\n')
}

/** The stacks of an error and of its causes, without other members, which may contain a request with its credentials. */
function stackOf(error: unknown, depth = 5): string {
  if (!(error instanceof Error)) return String(error)
  const stack = error.stack ?? `${error.name}: ${error.message}`
  return error.cause === undefined || depth === 0
    ? stack
    : `${stack}\ncaused by: ${stackOf(error.cause, depth - 1)}`
}
