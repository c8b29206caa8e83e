/** The exit codes of the command. */
export const exitCodes = {
  ok: 0,
  refused: 1,
  usage: 2,
  key: 3,
  network: 4,
  internal: 70,
  interrupted: 130,
} as const

/** An exit code of the command. */
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes]

/** The exit codes as help shows them. */
export const exitCodeTable: readonly (readonly [ExitCode, string])[] = [
  [exitCodes.ok, 'done'],
  [exitCodes.refused, 'a server refused, or its answer is wrong'],
  [exitCodes.usage, 'an option, an argument or a package is missing or wrong'],
  [exitCodes.key, 'the key cannot be opened, or cannot sign'],
  [exitCodes.network, 'a server cannot be reached, fails, or does not answer in time'],
  [exitCodes.internal, 'an error in this command'],
  [exitCodes.interrupted, 'interrupted'],
]

/** An option, an argument or a variable is missing or wrong. The message says what to give, and has no secret in it. */
export class UsageError extends Error {
  readonly code: string = 'ERR_USAGE'

  static {
    Object.defineProperty(UsageError.prototype, 'name', { value: 'UsageError' })
  }
}

/** The user or the system stopped the command by a signal, or at a prompt. */
export class Interruption extends Error {
  readonly code: string = 'ERR_INTERRUPTED'

  static {
    Object.defineProperty(Interruption.prototype, 'name', { value: 'Interruption' })
  }
}

/** A failed request to an MCP server. The message names its URL. */
export class McpError extends Error {
  readonly code: 'ERR_MCP' | 'ERR_NETWORK' | 'ERR_TIMEOUT'
  /** Whether it could not be reached, failed or timed out; otherwise it refused, or is not an MCP server. */
  readonly isNetwork: boolean

  constructor(code: McpError['code'], message: string, cause: unknown, isNetwork = true) {
    super(message, { cause })
    this.code = code
    this.isNetwork = isNetwork
  }

  static {
    Object.defineProperty(McpError.prototype, 'name', { value: 'McpError' })
  }
}
