import { SignerError, type SignerErrorCode, type SignerFailure } from '@countersign/core'
import { describeNetworkFailure, sanitizeError } from '@countersign/core/backend'

/** Name of this backend in errors and diagnostics. */
export const backend = 'aws-kms'

/** Makes an error of this backend. */
export function refusal(code: SignerErrorCode, message: string): SignerError {
  return new SignerError(code, message, { backend })
}

const slowDown =
  'AWS KMS refuses so many requests for now; sign less often, or raise the quota for cryptographic operations with this kind of key'
const failing = 'AWS KMS is failing; try again later'
const conflict = 'Another change to this KMS key is in progress; try again later'
const absent =
  'No usable AWS credentials were found; give the process a role, a profile or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or pass a "client" that has some'
const expired = 'The AWS credentials have expired; renew them'
const unknown = 'AWS does not know these credentials; check access key and session token'
const unsigned =
  'AWS did not accept the signature of the request; check secret access key, region and clock'

/** Code and message for each error name of AWS. */
const failures: { readonly [name: string]: readonly [SignerErrorCode, string] } = {
  ThrottlingException: ['ERR_SIGNER_THROTTLED', slowDown],
  Throttling: ['ERR_SIGNER_THROTTLED', slowDown],
  TooManyRequestsException: ['ERR_SIGNER_THROTTLED', slowDown],
  RequestLimitExceeded: ['ERR_SIGNER_THROTTLED', slowDown],
  LimitExceededException: ['ERR_SIGNER_THROTTLED', slowDown],
  KMSInternalException: ['ERR_SIGNER_UNAVAILABLE', failing],
  DependencyTimeoutException: ['ERR_SIGNER_UNAVAILABLE', failing],
  KeyUnavailableException: ['ERR_SIGNER_UNAVAILABLE', failing],
  InternalFailure: ['ERR_SIGNER_UNAVAILABLE', failing],
  ServiceUnavailable: ['ERR_SIGNER_UNAVAILABLE', failing],
  ServiceUnavailableException: ['ERR_SIGNER_UNAVAILABLE', failing],
  DisabledException: ['ERR_SIGNER_KEY_DISABLED', 'The KMS key is disabled; enable it'],
  KMSInvalidStateException: [
    'ERR_SIGNER_KEY_DISABLED',
    'The state of the KMS key forbids its use: it is pending deletion, waits for its key material, or its key store is disconnected; see its "Status" in AWS KMS',
  ],
  NotFoundException: [
    'ERR_SIGNER_KEY_NOT_FOUND',
    'AWS KMS has no key of this name in this account and region; check "keyId" (an alias is written alias/NAME) and region',
  ],
  InvalidArnException: ['ERR_SIGNER_CONFIG', 'AWS KMS cannot read the ARN in "keyId"; check it'],
  ValidationException: [
    'ERR_SIGNER_CONFIG',
    'AWS KMS refused the request as malformed; check "keyId"',
  ],
  InvalidKeyUsageException: [
    'ERR_SIGNER_KEY_UNSUPPORTED',
    'The KMS key cannot be used for this signature; use an asymmetric key with the key usage SIGN_VERIFY',
  ],
  UnsupportedOperationException: [
    'ERR_SIGNER_KEY_UNSUPPORTED',
    'The KMS key cannot be used for this signature; use an asymmetric key with the key usage SIGN_VERIFY',
  ],
  CredentialsProviderError: ['ERR_SIGNER_ACCESS_DENIED', absent],
  TokenProviderError: ['ERR_SIGNER_ACCESS_DENIED', expired],
  MissingAuthenticationTokenException: ['ERR_SIGNER_ACCESS_DENIED', absent],
  ExpiredTokenException: ['ERR_SIGNER_ACCESS_DENIED', expired],
  ExpiredToken: ['ERR_SIGNER_ACCESS_DENIED', expired],
  RequestExpired: ['ERR_SIGNER_ACCESS_DENIED', unsigned],
  UnrecognizedClientException: ['ERR_SIGNER_ACCESS_DENIED', unknown],
  InvalidClientTokenId: ['ERR_SIGNER_ACCESS_DENIED', unknown],
  InvalidSignatureException: ['ERR_SIGNER_ACCESS_DENIED', unsigned],
  SignatureDoesNotMatch: ['ERR_SIGNER_ACCESS_DENIED', unsigned],
  IncompleteSignatureException: ['ERR_SIGNER_ACCESS_DENIED', unsigned],
}

/** The members of the SDK's errors that are read; each of them may be missing. */
interface SdkError {
  readonly name?: unknown
  readonly message?: unknown
  readonly $metadata?: { readonly httpStatusCode?: unknown }
}

/** Returns code and message for an error of the AWS SDK; `undefined` for an unknown error. */
export function describeError(error: unknown): SignerFailure | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const { name, message, $metadata } = error as SdkError
  if (name === 'AccessDeniedException' || name === 'AccessDenied') return denied(String(message))
  if (typeof name === 'string' && Object.hasOwn(failures, name)) {
    const [code, message] = failures[name] ?? []
    if (code !== undefined && message !== undefined) return { code, message }
  }
  if (/^Region (?:is missing|not accepted)/.test(String(message))) {
    return {
      code: 'ERR_SIGNER_CONFIG',
      message: 'The AWS region is not known; give "region", an ARN as "keyId", or set AWS_REGION',
    }
  }
  const status = $metadata?.httpStatusCode
  if (name === 'SyntaxError' || isForeign(status)) return describeForeign(status)
  const failure = describeNetworkFailure(error, 'AWS KMS')
  if (failure !== undefined) return failure
  if (name === 'TimeoutError') {
    return {
      code: 'ERR_SIGNER_UNAVAILABLE',
      message:
        'AWS KMS did not answer within the timeouts of the "client"; check endpoint, network and proxy',
    }
  }
  if (status === 429) return { code: 'ERR_SIGNER_THROTTLED', message: slowDown }
  if (status === 409) return { code: 'ERR_SIGNER_UNAVAILABLE', message: conflict }
  if (typeof status === 'number' && status >= 500) {
    return { code: 'ERR_SIGNER_UNAVAILABLE', message: failing }
  }
  return undefined
}

/** Whether KMS never sends this status: a redirect, which the SDK does not follow, or 410. */
function isForeign(status: unknown): boolean {
  return typeof status === 'number' && ((status >= 300 && status < 400) || status === 410)
}

function describeForeign(status: unknown): SignerFailure {
  return {
    code: 'ERR_SIGNER_UNAVAILABLE',
    message: `The response is not from AWS KMS${typeof status === 'number' ? ` (HTTP status ${status})` : ''}; check endpoint, network and proxy`,
  }
}

/** Makes the error for a response that is not from AWS KMS. */
export function notKms(status: number): SignerError {
  const { code, message } = describeForeign(status)
  return refusal(code, message)
}

/** Names the missing permission: one for the key, or one for getting the credentials. */
function denied(message: string): SignerFailure {
  const [, action] = /\bto perform: ([a-z\d-]{1,32}:\w{1,64})\b/.exec(message) ?? []
  const code = 'ERR_SIGNER_ACCESS_DENIED'
  if (action !== undefined && !action.startsWith('kms:')) {
    return {
      code,
      message: `AWS denies ${action} to these credentials, which is needed to reach the key; check role and trust policy`,
    }
  }
  return {
    code,
    message: `AWS KMS denies access to the key; these credentials need ${action ?? 'kms:GetPublicKey and kms:Sign'} on it, by IAM policy, key policy or grant`,
  }
}

/**
 * Removes the request from an error of the SDK and sanitizes its text. The request contains the session token and a
 * signature by the secret key.
 */
export function scrub(error: unknown): void {
  sanitizeError(error, (each) => {
    const { $response } = each as { readonly $response?: unknown }
    if (typeof $response === 'object' && $response !== null) {
      Reflect.set($response, 'body', undefined)
    }
  })
}
