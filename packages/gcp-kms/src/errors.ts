import { SignerError, type SignerErrorCode, type SignerFailure } from '@countersign/core'
import { asSignerError, describeNetworkFailure, sanitizeError } from '@countersign/core/backend'

/** Name of the backend in errors and diagnostics. */
export const backend = 'gcp-kms'

/** Makes an error of this backend. */
export function failure(code: SignerErrorCode, message: string): SignerError {
  return new SignerError(code, message, { backend })
}

/** Makes the error for a response that was damaged, or that belongs to another key. */
export function notIntact(what: string): SignerError {
  return failure(
    'ERR_SIGNER_INTEGRITY',
    `Google Cloud KMS ${what}; it was discarded. Something between this process and the key may have changed it: check endpoint and proxy`,
  )
}

/** Permission and resource of a call, for its error. */
export interface Call {
  /** The IAM permission that it needs. */
  readonly permission: string
  /** The key or the key version that it uses. */
  readonly resource: string
}

const service = 'Google Cloud KMS'

const credentials: SignerFailure = {
  code: 'ERR_SIGNER_ACCESS_DENIED',
  message:
    'The Google Cloud credentials cannot be used; run "gcloud auth application-default login", set GOOGLE_APPLICATION_CREDENTIALS, or give "client" or "clientOptions" with credentials. The cause says why',
}

/** Matches the SDK's messages about missing credentials or a missing access token. */
const noCredentials =
  /could not load the default credentials|metadata from plugin failed|could not refresh access token|no authentication was provided|invalid_grant/i

/** Matches messages about a token server that cannot be reached. */
const noWay = /\b(?:E(?:NOTFOUND|AI_AGAIN|CONNREFUSED|CONNRESET|TIMEDOUT)|socket hang up)\b/

const apiDisabled = /has not been used in (?:this )?project|API .*\bdisabled\b|SERVICE_DISABLED/i

const otherPurpose = /\bpurpose\b|\balgorithm\b|public key|may not be used|asymmetric/i

const failing: SignerFailure = {
  code: 'ERR_SIGNER_UNAVAILABLE',
  message: `${service} is failing or cannot be reached; try again later, and check endpoint, network and proxy if it lasts. The cause says more`,
}

/** The methods in use create nothing and have no ranges, so they do not document these statuses. */
const undocumented: SignerFailure = {
  code: 'ERR_SIGNER_BACKEND',
  message: `${service} answered with a status that it does not document for this request; check the endpoint. The cause says more`,
}

const late: SignerFailure = {
  code: 'ERR_SIGNER_TIMEOUT',
  message: `${service} did not answer in time; raise "timeoutSeconds" if it needs longer`,
}

/** By gRPC status code, where the message of the error makes no difference. */
const byCode: { readonly [code: number]: (call: Call) => SignerFailure } = {
  1: () => failing,
  2: () => failing,
  4: () => late,
  5: ({ resource }) => ({
    code: 'ERR_SIGNER_KEY_NOT_FOUND',
    message: `${service} has no ${resource}; check project, location, key ring, key and version`,
  }),
  6: () => undocumented,
  7: ({ permission, resource }) => ({
    code: 'ERR_SIGNER_ACCESS_DENIED',
    message: `${service} denies ${permission} on ${resource}, or there is no such key; grant that permission to the credentials in use, or check the name`,
  }),
  8: () => ({
    code: 'ERR_SIGNER_THROTTLED',
    message: `${service} refuses for now, because a quota is exhausted; try again later, or raise the quota`,
  }),
  10: () => failing,
  11: () => undocumented,
  12: () => ({
    code: 'ERR_SIGNER_CONFIG',
    message: `The endpoint is not ${service}, or does not implement this method; check the endpoint`,
  }),
  13: () => failing,
  14: () => failing,
  15: () => failing,
  16: () => ({
    ...credentials,
    message: `${service} does not accept the access token. ${credentials.message}`,
  }),
}

/** Returns code and message for an error of the SDK; `undefined` for an unknown error. */
export function describeError(error: unknown, call: Call): SignerFailure | undefined {
  const { message, name } = (error ?? {}) as {
    readonly message?: unknown
    readonly name?: unknown
  }
  const words = String(message ?? error).slice(0, 4096)
  if (/client has already been closed/.test(words)) {
    return {
      code: 'ERR_SIGNER_CONFIG',
      message: 'The "client" was closed; make another one, and a signer with it',
    }
  }
  if (noCredentials.test(words)) return noWay.test(words) ? failing : credentials
  const code = statusCode(error, words)
  if (code === 3) return describeInvalidArgument(words, call)
  if (code === 9) return describeFailedPrecondition(words, call)
  if (code === 7 && apiDisabled.test(words)) return disabledApi()
  if (code !== undefined) return byCode[code]?.(call)
  // The SDK's REST mode parses every response as JSON.
  if (name === 'SyntaxError' || /^Received null response/.test(words)) return noJson
  return describeNetworkFailure(error, service)
}

const noJson: SignerFailure = {
  ...failing,
  message: `The endpoint is not ${service}: its response was not JSON; check endpoint and proxy`,
}

/**
 * The gRPC code of an error.
 *
 * Over REST, errors of the HTTP client of `google-auth-library` have the HTTP status as code and the body as message.
 * From version 6 on, the SDK parses the body itself and reports when it cannot.
 */
function statusCode(error: unknown, words: string): number | undefined {
  const { code, status, httpStatusCode } = (error ?? {}) as {
    readonly code?: unknown
    readonly status?: unknown
    readonly httpStatusCode?: unknown
  }
  const [, name = ''] = /"status"\s*:\s*"([A-Z_]{1,40})"/.exec(words) ?? []
  if (typeof status === 'number') {
    const named = codeNames.indexOf(name)
    return named === -1 ? codeOfHttpStatus(status) : named
  }
  if (typeof httpStatusCode === 'number' && /could not be decoded/.test(words)) {
    return codeOfHttpStatus(httpStatusCode)
  }
  return typeof code === 'number' ? code : undefined
}

/** By gRPC status code, `google.rpc.Code`. */
const codeNames = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
]

/** Maps the HTTP status of a gateway or proxy to a gRPC status code, as gRPC does. */
function codeOfHttpStatus(status: number): number {
  const codes: { readonly [status: number]: number } = { 401: 16, 403: 7, 404: 12, 410: 5, 429: 8 }
  return codes[status] ?? 14
}

/** Returns code and message for a failure to load the credentials. */
export function describeCredentialsError(error: unknown): SignerFailure {
  const { message } = (error ?? {}) as { readonly message?: unknown }
  if (noWay.test(String(message).slice(0, 4096))) return failing
  return describeNetworkFailure(error, "The server of Google Cloud's access tokens") ?? credentials
}

function describeInvalidArgument(words: string, { resource }: Call): SignerFailure {
  if (/checksum|crc32c/i.test(words)) {
    return {
      code: 'ERR_SIGNER_INTEGRITY',
      message: `${service} received other octets than were sent, and did not sign them; check the proxy`,
    }
  }
  return {
    code: 'ERR_SIGNER_CONFIG',
    message: `${service} does not understand the request for ${resource}; check the name. The cause says more`,
  }
}

/** Matches messages of the service, and of compatible ones, about a version that is not enabled. */
const otherState =
  /\b(?:not enabled|disabled|destroyed|scheduled for destruction|pending (?:generation|import|destruction))\b/i

function describeFailedPrecondition(words: string, { resource }: Call): SignerFailure {
  if (apiDisabled.test(words)) return disabledApi()
  if (/permission was denied when accessing/i.test(words)) {
    return {
      code: 'ERR_SIGNER_ACCESS_DENIED',
      message: `The external key manager denies ${service} access to ${resource}; grant it there. The cause says more`,
    }
  }
  const state = /current state is:? *"?([A-Z_]{1,40})\b/.exec(words)?.[1]
  if (state !== undefined || otherState.test(words)) {
    return {
      code: 'ERR_SIGNER_KEY_DISABLED',
      message: `${resource} is ${state ?? 'not ENABLED'}; enable it, or use another version`,
    }
  }
  if (otherPurpose.test(words)) {
    return {
      code: 'ERR_SIGNER_KEY_UNSUPPORTED',
      message: `${resource} is not a key for signatures; use one with the purpose ASYMMETRIC_SIGN`,
    }
  }
  return {
    code: 'ERR_SIGNER_BACKEND',
    message: `${service} cannot use ${resource} in its current state; the cause says why. For an external key, check the external key manager and the connection to it`,
  }
}

function disabledApi(): SignerFailure {
  return {
    code: 'ERR_SIGNER_ACCESS_DENIED',
    message:
      'The Cloud KMS API is not enabled in the project of the credentials; run "gcloud services enable cloudkms.googleapis.com"',
  }
}

/** Makes a {@link SignerError} from an error of the SDK, and removes secrets from the latter. */
export function named(
  error: unknown,
  describe: (error: unknown) => SignerFailure | undefined,
  doing: string,
): SignerError {
  const signerError = asSignerError(error, { name: backend, describeError: describe }, doing)
  // Errors of the SDK's HTTP client contain the request, which may contain a refresh token or a client secret.
  sanitizeError(error, (each) => {
    for (const member of ['config', 'response', 'error']) Reflect.deleteProperty(each, member)
  })
  return signerError
}
