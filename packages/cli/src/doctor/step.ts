import type { SignerErrorCode } from '@countersign/core'
import {
  type Fetch,
  OAuthError,
  type OAuthErrorCode,
  type PrivateKeyJwtOptions,
} from '@countersign/oauth'
import { describeOAuthError } from '../failure.ts'
import { describeUnreachable } from '../network.ts'
import type { OpenKey } from '../open-key.ts'

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

/** How an assertion is made, where a server wants it in another way than by default. */
export type AssertionSettings = Pick<
  PrivateKeyJwtOptions,
  'audience' | 'typ' | 'kid' | 'clientIdInBody'
>

/** What is to be diagnosed: a key, a client, and an MCP server, an issuer or both. */
export interface DiagnoseOptions {
  /** Opens the key, which is let go at the end. */
  readonly openKey: (signal: AbortSignal) => Promise<OpenKey>
  /** Where the key is, for people, such as `AWS KMS`. */
  readonly keyStore: string
  readonly clientId: string
  /** URL of the MCP server. */
  readonly mcp?: string | undefined
  /** The authorization server's issuer identifier; a pin on it when there is an MCP server, too. */
  readonly issuer?: string | undefined
  /** What to ask a token for, when there is no MCP server that says so. */
  readonly resource?: string | undefined
  readonly scope?: string | undefined
  /** Scope values that the MCP server may ask for in addition to `scope`; all by default. */
  readonly maxScope?: string | undefined
  /** How assertions are made. */
  readonly assertion?: AssertionSettings | undefined
  /** Bound on each thing that is waited for; 15 by default. */
  readonly timeoutSeconds?: number | undefined
  readonly signal?: AbortSignal | undefined
  readonly fetch?: Fetch | undefined
  /** The clock, in milliseconds since the epoch. */
  readonly now?: (() => number) | undefined
}

/** Options with their defaults, and what all steps share. */
export interface Examination extends DiagnoseOptions {
  readonly fetch: Fetch
  readonly now: () => number
  readonly timeoutSeconds: number
  /** Waits for something, no longer than the bound, and until the caller gives up. */
  readonly within: <T>(work: (signal: AbortSignal) => Promise<T>) => Promise<T>
}

/** Codes of failures on the way to a server, or of one that fails itself. */
const onTheWay: ReadonlySet<OAuthErrorCode> = new Set([
  'ERR_OAUTH_UNAVAILABLE',
  'ERR_OAUTH_TIMEOUT',
])

/** What to do about each code; a step that knows better says so itself. */
const remedies: { readonly [code in OAuthErrorCode]: string } = {
  ERR_OAUTH_DISCOVERY: 'correct the URL, or have the server publish its metadata',
  ERR_OAUTH_ISSUER_MISMATCH:
    'give the issuer exactly as the authorization server states it; if it should be the one that was asked, its metadata, or a proxy before it, is at fault',
  ERR_OAUTH_INSECURE_ENDPOINT: 'use https; plain http is for loopback only',
  ERR_OAUTH_METHOD_NOT_ADVERTISED: 'enable private_key_jwt at the authorization server',
  ERR_OAUTH_ALG_NOT_ADVERTISED:
    'use a key of a listed algorithm, or enable the algorithm at the authorization server',
  ERR_OAUTH_RESOURCE_MISMATCH:
    'use the URL that the metadata names as "resource", or correct the metadata of the MCP server',
  ERR_OAUTH_AUDIENCE:
    'give the issuer of the server that the assertion is for by --issuer, or leave --audience out',
  ERR_OAUTH_ASSERTION: 'give a signed JWT',
  ERR_OAUTH_RESPONSE: 'look up the error in the documentation of the authorization server',
  ERR_OAUTH_TOKEN_REFUSED:
    'compare what the MCP server expects of a token (issuer, audience, scope) with what the authorization server puts into it',
  ERR_OAUTH_INVALID_RESPONSE:
    'check that "token_endpoint" of the metadata is the token endpoint, and what stands before it',
  ERR_OAUTH_UNAVAILABLE:
    'check that the server runs and that this machine reaches it: name, port, network, proxy, certificate',
  ERR_OAUTH_TIMEOUT: 'check the way to the server, or raise the timeout if it needs longer',
}

/** What an error of the OAuth library, of the network or of waiting says; any other error is thrown on. */
export function describeOAuthFailure(error: unknown): Failure {
  if (isTimeout(error)) {
    const found = (error as DOMException).message
    const code = 'ERR_OAUTH_TIMEOUT'
    return { found, remedy: remedies[code], side: 'network', code }
  }
  if (OAuthError.is(error)) {
    const { code } = error
    const side = onTheWay.has(code) ? 'network' : 'refused'
    return { found: describeOAuthError(error), remedy: remedies[code], side, code }
  }
  const why = describeUnreachable(error)
  if (why === undefined) throw error
  const code = 'ERR_OAUTH_UNAVAILABLE'
  const found = `The server cannot be reached: ${why}`
  return { found, remedy: remedies[code], side: 'network', code }
}

/** Whether an error is that of the deadline of `within`. */
export function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'TimeoutError'
}

/** Does what one step, or several, are about; a failure ends the line at the step that it belongs to. */
export async function attempt<T>(
  work: Promise<T>,
  step: StepName | ((code: OAuthErrorCode | undefined) => StepName),
  remedy?: string,
): Promise<T> {
  try {
    return await work
  } catch (error) {
    const failure = describeOAuthFailure(error)
    const name =
      typeof step === 'function' ? step(OAuthError.is(error) ? error.code : undefined) : step
    throw new BrokenStep(name, remedy === undefined ? failure : { ...failure, remedy })
  }
}
