import type { SignerErrorCode } from '@countersign/core'
import type { OAuthErrorCode } from '@countersign/oauth'

/** The steps of the line from a key to a tool, in order, each with what it takes to pass it. */
export const expectations = {
  'key store': 'the URI is understood, and the file, token or service that it names answers',
  'key permission': 'this process may use the key: file mode, passphrase, PIN or policy admit it',
  key: 'the key is there and enabled',
  'key algorithm': 'the key is of the kind that the algorithm needs',
  signature: 'the key signs, and the signature verifies with its public half',
  'mcp server': 'the MCP server asks for a token: HTTP status 401 with a Bearer challenge',
  'resource metadata': 'the MCP server publishes protected resource metadata (RFC 9728)',
  resource: 'the metadata is of the URL that is used',
  'authorization server': 'the resource names its authorization server, the given issuer if any',
  https: 'the issuer is an https URL, or on loopback',
  'server metadata': 'the issuer publishes authorization server metadata (RFC 8414)',
  issuer: 'the metadata names the issuer that was asked',
  'token endpoint': 'the token endpoint is an https URL, or on loopback',
  'authentication method': '"token_endpoint_auth_methods_supported" lists private_key_jwt',
  'signing algorithm':
    '"token_endpoint_auth_signing_alg_values_supported" lists the algorithm of the key',
  grant: '"grant_types_supported" lists client_credentials',
  clock: 'this clock and that of the authorization server differ by less than 10 s',
  token: 'the authorization server knows the client and its key, and grants a token',
  'token audience': 'the token is made out to the resource',
  'mcp initialize': 'the MCP server lets the token in',
  tools: 'the MCP server lists its tools',
} as const

/** The name of a step of the line. */
export type StepName = keyof typeof expectations

/** `warning` is something odd that did not stop the line; what comes after a failure is not reached. */
export type StepState = 'ok' | 'failed' | 'warning' | 'not reached'

/**
 * Where a failure lies: at the key or its backend, in what the other side says, on the way there, or in what the command
 * was not given, such as a package or a region.
 */
export type Side = 'key' | 'refused' | 'network' | 'usage'

/** What an authorization server may have against a client, if all that it says is `invalid_client`. */
export type Candidate =
  | 'clock'
  | 'client'
  | 'key'
  | 'algorithm'
  | 'audience'
  | 'typ'
  | 'kid'
  | 'client_id'

/** What became of one step. */
export interface StepResult {
  readonly name: StepName
  readonly state: StepState
  /** Absent when the step was not reached. */
  readonly found?: string
  readonly expected: string
  /** What to do; of failures and warnings. */
  readonly remedy?: string
  /** The code with which the library fails here. */
  readonly code?: SignerErrorCode | OAuthErrorCode
  readonly side?: Side
  /** What may be the cause, when it could not be told which one is. */
  readonly candidates?: readonly Candidate[]
}

/** What a failed step has to say beside its name. */
export interface Failure {
  readonly found: string
  readonly remedy: string
  readonly side: Side
  readonly code?: SignerErrorCode | OAuthErrorCode
  readonly candidates?: readonly Candidate[]
}

/** Ends the line at a step. */
export class BrokenStep extends Error {
  readonly result: StepResult

  constructor(name: StepName, failure: Failure) {
    super(failure.found)
    const { found, remedy, ...rest } = failure
    this.result = { name, state: 'failed', found, expected: expectations[name], remedy, ...rest }
  }

  static {
    Object.defineProperty(BrokenStep.prototype, 'name', { value: 'BrokenStep' })
  }
}

export function passed(name: StepName, found: string): StepResult {
  return { name, state: 'ok', found, expected: expectations[name] }
}

export function warned(name: StepName, found: string, remedy: string): StepResult {
  return { name, state: 'warning', found, expected: expectations[name], remedy }
}

export function notReached(name: StepName): StepResult {
  return { name, state: 'not reached', expected: expectations[name] }
}
