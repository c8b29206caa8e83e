import type { SignerErrorCode } from '@countersign/core'
import {
  type Fetch,
  OAuthError,
  type OAuthErrorCode,
  type PrivateKeyJwtOptions,
} from '@countersign/oauth'
import type { OpenDpop } from '../dpop-options.ts'
import { describeOAuthError } from '../failure.ts'
import { describeUnreachable } from '../network.ts'
import type { OpenKey } from '../open-key.ts'

/** The steps from a key to a tool, in order, each with what is expected. */
export const expectations = {
  'key store': 'the key URI is valid, and the file, token or service that it names answers',
  'key permission': 'this process may use the key: file mode, passphrase, PIN or policy allow it',
  key: 'the key exists and is enabled',
  'key algorithm': 'the key fits the algorithm',
  signature: 'the key signs, and the signature verifies with the public key',
  'proof key': 'the key of the DPoP proofs can be opened',
  'mcp server': 'the MCP server asks for a token: HTTP status 401 with a Bearer or DPoP challenge',
  'resource metadata': 'the MCP server publishes protected resource metadata (RFC 9728)',
  resource: 'the metadata is for the URL that is used',
  'authorization server':
    'the resource names an authorization server, and the given issuer if there is one',
  https: 'the issuer is an https URL, or on loopback',
  'server metadata': 'the issuer publishes authorization server metadata (RFC 8414)',
  issuer: 'the metadata names the issuer that was asked',
  'token endpoint': 'the token endpoint is an https URL, or on loopback',
  'authentication method': '"token_endpoint_auth_methods_supported" lists private_key_jwt',
  'signing algorithm':
    '"token_endpoint_auth_signing_alg_values_supported" lists the algorithm of the key',
  grant: '"grant_types_supported" lists client_credentials',
  'token binding':
    'tokens are bound to a key by DPoP (RFC 9449) if a server demands it, and the servers list the algorithm of the proofs',
  clock: 'this clock and that of the authorization server differ by less than 10 s',
  token: 'the authorization server knows the client and its key, and issues a token',
  'token audience': 'the audience of the token is the resource',
  'mcp initialize': 'the MCP server accepts the token',
  tools: 'the MCP server lists its tools',
} as const

/** The name of a step. */
export type StepName = keyof typeof expectations

/** After a `warning` the next step is tried; the steps after a failure are not reached. */
export type StepState = 'ok' | 'failed' | 'warning' | 'not reached'

/**
 * What kind of failure it is: of the key or its backend, a refusal by a server, of the network, or of usage, such as a
 * missing package or region.
 */
export type Side = 'key' | 'refused' | 'network' | 'usage'

/** Possible causes of `invalid_client`. */
export type Candidate =
  | 'clock'
  | 'client'
  | 'key'
  | 'algorithm'
  | 'audience'
  | 'typ'
  | 'kid'
  | 'client_id'

/** The result of a step. */
export interface StepResult {
  readonly name: StepName
  readonly state: StepState
  /** Absent when the step was not reached. */
  readonly found?: string
  readonly expected: string
  /** What to do, for failures and warnings. */
  readonly remedy?: string
  /** The code of the library's error. */
  readonly code?: SignerErrorCode | OAuthErrorCode
  readonly side?: Side
  /** The possible causes, when the cause is not certain. */
  readonly candidates?: readonly Candidate[]
}

/** A failure, without the name of its step. */
export interface Failure {
  readonly found: string
  readonly remedy: string
  readonly side: Side
  readonly code?: SignerErrorCode | OAuthErrorCode
  readonly candidates?: readonly Candidate[]
}

/** Thrown when a step fails; the later steps are not reached. */
export class FailedStep extends Error {
  readonly result: StepResult

  constructor(name: StepName, failure: Failure) {
    super(failure.found)
    const { found, remedy, ...rest } = failure
    this.result = { name, state: 'failed', found, expected: expectations[name], remedy, ...rest }
  }

  static {
    Object.defineProperty(FailedStep.prototype, 'name', { value: 'FailedStep' })
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

/** Options of the assertion, for servers that need another one than the default. */
export type AssertionSettings = Pick<
  PrivateKeyJwtOptions,
  'audience' | 'typ' | 'kid' | 'clientIdInBody'
>

/** What is to be diagnosed: a key, a client, and an MCP server, an issuer or both. */
export interface DiagnoseOptions {
  /** Opens the key, which is closed at the end. */
  readonly openKey: (signal: AbortSignal) => Promise<OpenKey>
  /** The name of the key store, such as `AWS KMS`. */
  readonly keyStore: string
  readonly clientId: string
  /** Opens the key of DPoP proofs, which is closed at the end; bearer tokens are used without it. */
  readonly openDpop?: ((signal: AbortSignal) => Promise<OpenDpop | undefined>) | undefined
  /** URL of the MCP server. */
  readonly mcp?: string | undefined
  /** The issuer identifier of the authorization server; with an MCP server also, it is pinned. */
  readonly issuer?: string | undefined
  /** What the token is for, when there is no MCP server. */
  readonly resource?: string | undefined
  readonly scope?: string | undefined
  /** Scope values that the MCP server may ask for in addition to `scope`; all by default. */
  readonly maxScope?: string | undefined
  /** Options of the assertions. */
  readonly assertion?: AssertionSettings | undefined
  /** Limit for each request and each use of the key; 15 by default. */
  readonly timeoutSeconds?: number | undefined
  readonly signal?: AbortSignal | undefined
  readonly fetch?: Fetch | undefined
  /** The clock, in milliseconds since the epoch. */
  readonly now?: (() => number) | undefined
}

/** The options with their defaults, and what all steps share. */
export interface Examination extends DiagnoseOptions {
  readonly fetch: Fetch
  readonly now: () => number
  readonly timeoutSeconds: number
  /** Bounds work by `timeoutSeconds` and by the caller's signal. */
  readonly within: <T>(work: (signal: AbortSignal) => Promise<T>) => Promise<T>
}

/** The issuer, resource and scope of the token request. */
export interface Target {
  readonly issuer: string
  /** The URL of the MCP server, when the issuer comes from it and not from the caller. */
  readonly namedBy?: string | undefined
  /** What the token is for. */
  readonly resource: string | undefined
  readonly scope: string | undefined
  /** What the resource says about DPoP. */
  readonly dpop?: ResourceDpop | undefined
}

/** What a resource says about DPoP, RFC 9728 §2. */
export interface ResourceDpop {
  /** How it demands DPoP, if it does. */
  readonly demand: string | undefined
  /** Its list of algorithms, as it was published. */
  readonly algs: unknown
}

/** The codes of network failures and of servers that fail. */
const networkCodes: ReadonlySet<OAuthErrorCode> = new Set([
  'ERR_OAUTH_UNAVAILABLE',
  'ERR_OAUTH_TIMEOUT',
])

/** What to do about each code, unless the step has a better remedy. */
const remedies: { readonly [code in OAuthErrorCode]: string } = {
  ERR_OAUTH_DISCOVERY: 'correct the URL, or have the server publish its metadata',
  ERR_OAUTH_ISSUER_MISMATCH:
    'give the issuer exactly as the authorization server states it; if the given issuer is right, correct the metadata of the server, or the proxy in front of it',
  ERR_OAUTH_INSECURE_ENDPOINT: 'use https; plain http is for loopback only',
  ERR_OAUTH_METHOD_NOT_ADVERTISED: 'enable private_key_jwt at the authorization server',
  ERR_OAUTH_ALG_NOT_ADVERTISED:
    'use a key of a listed algorithm, or enable the algorithm at the authorization server',
  ERR_OAUTH_RESOURCE_MISMATCH:
    'use the URL that the metadata names as "resource", or correct the metadata of the MCP server',
  ERR_OAUTH_AUDIENCE:
    'give the issuer of the server that the assertion is for with --issuer, or leave --audience out',
  ERR_OAUTH_ASSERTION: 'give a signed JWT',
  ERR_OAUTH_RESPONSE: 'look up the error in the documentation of the authorization server',
  ERR_OAUTH_TOKEN_REFUSED:
    'compare what the MCP server expects of a token (issuer, audience, scope) with what the authorization server puts into it',
  ERR_OAUTH_INVALID_RESPONSE:
    'check that "token_endpoint" in the metadata is the token endpoint, and what a proxy in front of it answers',
  ERR_OAUTH_TOKEN_TYPE: 'follow the message',
  ERR_OAUTH_UNAVAILABLE:
    'check that the server runs and that this machine reaches it: name, port, network, proxy, certificate',
  ERR_OAUTH_TIMEOUT: 'check the network to the server, or raise --timeout if it needs longer',
}

/** Describes an error of the OAuth library, of the network or of a deadline; rethrows any other error. */
export function describeOAuthFailure(error: unknown): Failure {
  if (isTimeout(error)) {
    const found = (error as DOMException).message
    const code = 'ERR_OAUTH_TIMEOUT'
    return { found, remedy: remedies[code], side: 'network', code }
  }
  if (OAuthError.is(error)) {
    const { code } = error
    const side = networkCodes.has(code) ? 'network' : 'refused'
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

/** Waits for the work of one or several steps; when it fails, so does the step to which the error belongs. */
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
    throw new FailedStep(name, remedy === undefined ? failure : { ...failure, remedy })
  }
}
