import { SignerError } from '@countersign/core'
import { OAuthError, type OAuthErrorCode } from '@countersign/oauth'
import { CommanderError } from 'commander'
import { type ExitCode, exitCodes } from './exit-code.ts'
import { withInstallAdvice } from './install-advice.ts'
import { Interruption } from './interruption.ts'
import { McpError } from './mcp-error.ts'
import { describeUnreachable } from './network.ts'
import { redact, withoutControls } from './redact.ts'
import { UsageError } from './usage-error.ts'
import { inOptions } from './wording.ts'

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

/**
 * Names any error: its exit code, its code, and one line for people.
 *
 * @param timeoutSeconds - how long the command waits for a key or a server; said of what did not answer in time.
 */
export function describeFailure(error: unknown, timeoutSeconds?: number): Failure {
  const { message, ...rest } = name(error)
  const timed =
    timeoutSeconds === undefined
      ? message
      : message.replace(/\bin time\b/, `within ${timeoutSeconds} s`)
  return { ...rest, message: oneLine(timed) }
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

/** Whether the command was not given what it takes to reach the key: a package, or the region. */
export function isUsage({ code, message }: SignerError): boolean {
  return (
    code === 'ERR_SIGNER_CONFIG' &&
    /^The package \S+ is not installed|^The AWS region is not known/.test(message)
  )
}

/** The message of an error, and why a server could not be reached when the system says so. */
export function describeOAuthError({ message, cause }: OAuthError): string {
  const why = describeUnreachable(cause)
  return inOptions(why === undefined ? message : `${message}: ${why}`)
}

function nameOther(error: unknown): Failure {
  const { name, message } = (error ?? {}) as { readonly name?: unknown; readonly message?: unknown }
  const why = describeUnreachable(error)
  if (why !== undefined || (name === 'TypeError' && message === 'fetch failed')) {
    const { cause } = error as { readonly cause?: { readonly message?: unknown } }
    const reason = why ?? String(cause?.message ?? 'nothing says why')
    const found = `The server cannot be reached: ${reason}`
    return { exitCode: exitCodes.network, code: 'ERR_NETWORK', message: found }
  }
  if (name === 'TimeoutError') {
    const message = 'Nothing was answered in time; raise --timeout if it needs longer'
    return { exitCode: exitCodes.network, code: 'ERR_TIMEOUT', message }
  }
  return {
    exitCode: exitCodes.internal,
    code: 'ERR_UNEXPECTED',
    message: `${String(message ?? error)}; this is unexpected: run it again with --verbose and report what it says`,
  }
}

/** A failure that only its cause explains. */
function withCause({ message, cause }: SignerError): string {
  const unexplained = /[;.] the cause says why$/i
  if (!unexplained.test(message) || !(cause instanceof Error)) return message
  return message.replace(unexplained, `: ${cause.name}: ${cause.message}`)
}

const remedies: Readonly<Record<string, string>> = {
  invalid_client:
    'register the public key (countersign jwks KEY) with this client, and compare client ID, algorithm and clock; countersign doctor tries what else a server may want',
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
