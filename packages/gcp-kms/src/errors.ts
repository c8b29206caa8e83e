import { SignerError, type SignerErrorCode, type SignerFailure } from '@countersign/core'
import { asSignerError, describeNetworkFailure, sanitizeError } from '@countersign/core/backend'

/** Name of the backend in errors and diagnostics. */
export const backend = 'gcp-kms'

/** An error of this backend. */
export function failure(code: SignerErrorCode, message: string): SignerError {
  return new SignerError(code, message, { backend })
}

/** What came back is not what was asked for. */
export function notIntact(what: string): SignerError {
  return failure(
    'ERR_SIGNER_INTEGRITY',
    `Google Cloud KMS ${what}; it was discarded. Something between this process and the key may have changed it: check endpoint and proxy`,
  )
}

/** A call that failed: what it wanted of the service. */
export interface Call {
  /** The IAM permission it takes. */
  readonly permission: string
  /** The key or the key version it is about. */
  readonly resource: string
}

const service = 'Google Cloud KMS'

const credentials: SignerFailure = {
  code: 'ERR_SIGNER_ACCESS_DENIED',
  message:
    'The Google Cloud credentials cannot be used; run "gcloud auth application-default login", set GOOGLE_APPLICATION_CREDENTIALS, or give "client" or "clientOptions" with credentials. The cause says why',
}

/** How the SDK says that there are no credentials, or that they got it no access token. */
const noCredentials =
  /could not load the default credentials|metadata from plugin failed|could not refresh access token|no authentication was provided|invalid_grant/i

/** How it says that the way to the server of the tokens is what is missing. */
const noWay = /\b(?:E(?:NOTFOUND|AI_AGAIN|CONNREFUSED|CONNRESET|TIMEDOUT)|socket hang up)\b/

const apiDisabled = /has not been used in (?:this )?project|API .*\bdisabled\b|SERVICE_DISABLED/i

const otherPurpose = /\bpurpose\b|\balgorithm\b|public key|may not be used|asymmetric/i

const failing: SignerFailure = {
  code: 'ERR_SIGNER_UNAVAILABLE',
  message: `${service} is failing or cannot be reached; try again later, and check endpoint, network and proxy if it lasts. The cause says more`,
}

/** The methods in use do not document these: nothing is created, and nothing has a range. */
const undocumented: SignerFailure = {
  code: 'ERR_SIGNER_BACKEND',
  message: `${service} answered with a status that it does not document for this request; check the endpoint. The cause says more`,
}

const late: SignerFailure = {
  code: 'ERR_SIGNER_TIMEOUT',
  message: `${service} did not answer in time; raise "timeoutSeconds" if it needs longer`,
}

/** What each code of gRPC means here, where it does not depend on the words that come with it. */
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
    message: `${service} refuses for now, since a quota is used up; try again later, or raise the quota`,
  }),
  10: () => failing,
  11: () => undocumented,
  12: () => ({
    code: 'ERR_SIGNER_CONFIG',
    message: `What answers is not ${service}, or an incomplete one; check the endpoint`,
  }),
  13: () => failing,
  14: () => failing,
  15: () => failing,
  16: () => ({
    ...credentials,
    message: `${service} does not accept the access token. ${credentials.message}`,
  }),
}

/** Names an error of the SDK; `undefined` for one that is none of the known. */
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
  // The SDK's REST mode reads every answer as JSON.
  if (name === 'SyntaxError' || /^Received null response/.test(words)) return noJson
  return describeNetworkFailure(error, service)
}

const noJson: SignerFailure = {
  ...failing,
  message: `What answers is not ${service}: it sent no JSON; check endpoint and proxy`,
}

/**
 * The gRPC code of an error.
 *
 * Over REST, the HTTP client of `google-auth-library` gives its errors the HTTP status as code, and the body as message.
 * From version 6 on, the SDK reads the body itself, and says when it could not.
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

/** By code of gRPC, `google.rpc.Code`. */
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

/** What a gateway or proxy answered, which does not name a gRPC code; as gRPC itself reads such answers. */
function codeOfHttpStatus(status: number): number {
  const codes: { readonly [status: number]: number } = { 401: 16, 403: 7, 404: 12, 410: 5, 429: 8 }
  return codes[status] ?? 14
}

/** Names what kept the SDK from getting ready for its first call. */
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

/** How the service, and other implementations of it, say that a version cannot be used in its state. */
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
    message: `${service} cannot use ${resource} as it is now; the cause says why. For an external key, check the external key manager and the connection to it`,
  }
}

function disabledApi(): SignerFailure {
  return {
    code: 'ERR_SIGNER_ACCESS_DENIED',
    message:
      'The Cloud KMS API is not enabled in the project of the credentials; run "gcloud services enable cloudkms.googleapis.com"',
  }
}

/** Names an error of the SDK, and removes from it what must not be logged. */
export function named(
  error: unknown,
  describe: (error: unknown) => SignerFailure | undefined,
  doing: string,
): SignerError {
  const signerError = asSignerError(error, { name: backend, describeError: describe }, doing)
  // The SDK's HTTP client keeps the request, and with it what the access token is obtained with.
  sanitizeError(error, (each) => {
    for (const member of ['config', 'response', 'error']) Reflect.deleteProperty(each, member)
  })
  return signerError
}
