import type { SignerFailure } from '@countersign/core'
import { describeNetworkFailure } from '@countersign/core/backend'

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
  7: ({ permission, resource }) => ({
    code: 'ERR_SIGNER_ACCESS_DENIED',
    message: `${service} denies ${permission} on ${resource}, or there is no such key; grant that permission to the credentials in use, or check the name`,
  }),
  8: () => ({
    code: 'ERR_SIGNER_THROTTLED',
    message: `${service} refuses for now, since a quota is used up; try again later, or raise the quota`,
  }),
  10: () => failing,
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
export function describeFailure(error: unknown, call: Call): SignerFailure | undefined {
  const { code, message, name } = (error ?? {}) as {
    readonly code?: unknown
    readonly message?: unknown
    readonly name?: unknown
  }
  const words = String(message ?? error)
  if (/client has already been closed/.test(words)) {
    return {
      code: 'ERR_SIGNER_CONFIG',
      message: 'The "client" was closed; make another one, and a signer with it',
    }
  }
  if (noCredentials.test(words)) return noWay.test(words) ? failing : credentials
  if (code === 3) return describeInvalidArgument(words, call)
  if (code === 9) return describeFailedPrecondition(words, call)
  if (code === 7 && apiDisabled.test(words)) return disabledApi()
  if (typeof code === 'number') return byCode[code]?.(call)
  // The SDK's REST mode reads every answer as JSON.
  if (name === 'SyntaxError') {
    return {
      ...failing,
      message: `What answers is not ${service}: it sent no JSON; check endpoint and proxy`,
    }
  }
  return describeNetworkFailure(error, service)
}

/** Names what kept the SDK from getting ready for its first call. */
export function describeCredentialsFailure(error: unknown): SignerFailure {
  const { message } = (error ?? {}) as { readonly message?: unknown }
  if (noWay.test(String(message))) return failing
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

function describeFailedPrecondition(words: string, { resource }: Call): SignerFailure {
  if (apiDisabled.test(words)) return disabledApi()
  const state = /current state is:? *"?([A-Z_]+)/.exec(words)?.[1]
  if (state === undefined && !/enabled|disabled|destroy/i.test(words) && otherPurpose.test(words)) {
    return {
      code: 'ERR_SIGNER_KEY_UNSUPPORTED',
      message: `${resource} is not a key for signatures; use one with the purpose ASYMMETRIC_SIGN`,
    }
  }
  return {
    code: 'ERR_SIGNER_KEY_DISABLED',
    message: `${resource} is ${state ?? 'not ENABLED'}; enable it, or use another version`,
  }
}

function disabledApi(): SignerFailure {
  return {
    code: 'ERR_SIGNER_ACCESS_DENIED',
    message:
      'The Cloud KMS API is not enabled in the project of the credentials; run "gcloud services enable cloudkms.googleapis.com"',
  }
}
