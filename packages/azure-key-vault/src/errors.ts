import { SignerError, type SignerErrorCode, type SignerFailure } from '@countersign/core'
import {
  asSignerError,
  describeNetworkFailure,
  sanitize,
  sanitizeError,
  sanitizeValue,
} from '@countersign/core/backend'

/** Name of this backend, in errors and diagnostics. */
export const backend = 'azure-key-vault'

/** Name of the service in messages. */
export const service = 'Azure Key Vault'

/** Makes an error of this backend. */
export function refusal(code: SignerErrorCode, message: string): SignerError {
  return new SignerError(code, message, { backend })
}

/** The part of a raw response that is read in addition to the SDK's result. */
export interface Answer {
  readonly status: number
  readonly parsedBody?: unknown
}

/** The permission that a call needs, as access policies name it. */
export type Permission = 'keys/get' | 'keys/sign'

/** The failure for a response that Azure Key Vault never sends. */
const notKeyVaultFailure: SignerFailure = {
  code: 'ERR_SIGNER_UNAVAILABLE',
  message: `The response does not follow the protocol of ${service}; check the host of "keyId", and any proxy or gateway in front of it`,
}

/** The members that are read of the errors of the SDK and of credentials. */
interface VendorError {
  readonly name?: unknown
  readonly message?: unknown
  readonly code?: unknown
  readonly statusCode?: unknown
  readonly details?: { readonly error?: { readonly innerError?: { readonly code?: unknown } } }
}

/** Returns code and message for an error of a call; `undefined` for an unknown error. */
function describeError(
  thrown: unknown,
  permission: Permission,
  answer: Answer | undefined,
): SignerFailure | undefined {
  const error = (typeof thrown === 'object' && thrown !== null ? thrown : {}) as VendorError
  if (isCredentialError(error)) return describeCredentialFailure(error)
  // For an error response without a body the SDK throws a TypeError, and only the response has the status.
  const unread = thrown instanceof TypeError ? answer?.status : undefined
  const status = error.statusCode ?? unread
  return (
    describeStatus(Number(status), error, permission) ??
    describeNetworkFailure(thrown, service) ??
    fromTable(plainErrors, String(error.message)) ??
    (error.code === 'PARSE_ERROR' || unread === 200 ? notKeyVaultFailure : undefined)
  )
}

function describeStatus(
  status: number,
  error: VendorError,
  permission: Permission,
): SignerFailure | undefined {
  const inner = error.details?.error?.innerError?.code
  const named = [status, ...[error.code, inner].filter(isCode)].join(' ')
  if (status === 403) {
    const text = `${inner} ${String(error.message)}`
    return fromTable(forbidden, text) ?? lacking(permission, text, named)
  }
  if (status === 204 || (status >= 300 && status < 400)) return notKeyVaultFailure
  if (status >= 500) {
    return failure('ERR_SIGNER_UNAVAILABLE', `${service} is failing (${named}); try again later`)
  }
  const described = statuses[status]
  return described && failure(described[0], `${described[1]} (${named}); ${described[2]}`)
}

/** By HTTP status: the code, what happened, and what to do. */
const statuses: Readonly<Record<number, readonly [SignerErrorCode, string, string]>> = {
  400: [
    'ERR_SIGNER_CONFIG',
    `${service} does not accept the request`,
    'check "alg" and the "serviceVersion" of "clientOptions"; the cause says why',
  ],
  401: [
    'ERR_SIGNER_ACCESS_DENIED',
    `${service} does not accept the token of the credential`,
    'check its tenant, and that it is for this cloud',
  ],
  404: [
    'ERR_SIGNER_KEY_NOT_FOUND',
    'There is no such key, or no such version of it',
    'check "keyId", and whether the key was deleted',
  ],
  408: ['ERR_SIGNER_UNAVAILABLE', `${service} did not wait for the request`, 'try again later'],
  409: [
    'ERR_SIGNER_UNAVAILABLE',
    'Another operation on this key, or on its vault, is still in progress',
    'try again later',
  ],
  410: [
    'ERR_SIGNER_KEY_NOT_FOUND',
    'The key or its vault no longer exists',
    'check "keyId", and whether the vault was deleted',
  ],
  429: [
    'ERR_SIGNER_THROTTLED',
    `${service} is throttling`,
    'sign less often, spread the keys over vaults, or use a Managed HSM',
  ],
}

/** Patterns of error texts, each with its code and message. */
type Table = readonly (readonly [RegExp, SignerErrorCode, string])[]

/** For a 403: by inner code, or by text, since compatible servers omit the inner code. */
const forbidden: Table = [
  [
    /KeyDisabled|\bon a disabled key\b/i,
    'ERR_SIGNER_KEY_DISABLED',
    'This version of the key is disabled; enable it, or choose another version',
  ],
  [
    /KeyExpired|KeyNotYetValid|\bon an expired key\b|\bon a key that (?:is not yet valid|has expired)\b/i,
    'ERR_SIGNER_KEY_DISABLED',
    'This version of the key has expired or is not yet valid; choose another version, or change its dates',
  ],
  [
    /KeyOperationForbidden|Operation (?:\w+ )?is not (?:allowed|permitted) on this key/i,
    'ERR_SIGNER_KEY_UNSUPPORTED',
    'The operations of this key do not include "sign"; add it, or use another key',
  ],
  [
    /ForbiddenByFirewall|ForbiddenByConnection|Client address is not authorized/i,
    'ERR_SIGNER_ACCESS_DENIED',
    'The network rules of the vault do not admit this machine; add its address, or connect by a private endpoint',
  ],
]

function lacking(permission: Permission, text: string, named: string): SignerFailure {
  const verb = permission.slice('keys/'.length)
  const remedy = /ForbiddenByPolicy|does not have keys \w+ permission/i.test(text)
    ? `add the key permission "${verb}" to the vault's access policy`
    : /ForbiddenByRbac|AccessDenied/i.test(`${text} ${named}`)
      ? `assign it a role such as "Key Vault Crypto User", or "Managed HSM Crypto User"`
      : `give it the key permission "${verb}" by a role such as "Key Vault Crypto User" or by the access policy`
  return failure(
    'ERR_SIGNER_ACCESS_DENIED',
    `The credential lacks ${permission} on this key (${named}); ${remedy}`,
  )
}

/** Errors that the SDK throws without a status. */
const plainErrors: Table = [
  [
    /^Key \S+ (?:can't be used before|expired at)/,
    'ERR_SIGNER_KEY_DISABLED',
    'This version of the key has expired or is not yet valid; choose another version, or change its dates',
  ],
  [
    /^Operation \w+ is not supported on key/,
    'ERR_SIGNER_KEY_UNSUPPORTED',
    'The operations of this key do not include "sign"; add it, or use another key',
  ],
  [
    /^The challenge (?:resource|contains|authorization)/,
    'ERR_SIGNER_CONFIG',
    'The host of "keyId" asks for a token that is not for its own domain, and no token was sent; check "keyId"',
  ],
  [
    /allowInsecureConnection is false/,
    'ERR_SIGNER_CONFIG',
    'The SDK does not connect by http unless "clientOptions" has "allowInsecureConnection"; use https',
  ],
  [
    /^Error reading response/,
    'ERR_SIGNER_UNAVAILABLE',
    `The connection to ${service} was cut in the middle of its answer; try again later`,
  ],
  [
    /^Failed to refresh access token/,
    'ERR_SIGNER_ACCESS_DENIED',
    'The credential gave no token; check how it is set up',
  ],
]

const credentialErrors =
  /^(?:CredentialUnavailable|Authentication|AuthenticationRequired|AggregateAuthentication)Error$/

/** Whether an error is from `@azure/identity`, which may be installed in several copies. */
function isCredentialError({ name }: { readonly name?: unknown }): boolean {
  return credentialErrors.test(String(name))
}

function describeCredentialFailure(error: VendorError): SignerFailure {
  const status = Number(error.statusCode)
  const network = describeNetworkFailure(error, 'The token service of the credential')
  if (network !== undefined) return network
  if (status === 429 || status >= 500) {
    return failure(
      'ERR_SIGNER_UNAVAILABLE',
      `The token service of the credential is failing (${status}); try again later`,
    )
  }
  return failure(
    'ERR_SIGNER_ACCESS_DENIED',
    error.name === 'CredentialUnavailableError'
      ? 'The credential is not available here; check the environment that it reads its settings from'
      : 'The credential got no token; check its tenant, client and secret; the cause says why',
  )
}

function fromTable(table: Table, text: string): SignerFailure | undefined {
  const row = table.find(([pattern]) => pattern.test(text))
  return row && failure(row[1], row[2])
}

function failure(code: SignerErrorCode, message: string): SignerFailure {
  return { code, message }
}

/** Whether a code is safe to show in a message. */
function isCode(code: unknown): code is string {
  return typeof code === 'string' && /^\w{1,40}$/.test(code)
}

/** Makes the error for a response that does not follow the protocol of Key Vault. */
export function notKeyVault(): SignerError {
  return refusal(notKeyVaultFailure.code, notKeyVaultFailure.message)
}

/** Makes a {@link SignerError} from an error of the SDK, and removes secrets from the latter. */
export function named(
  error: unknown,
  permission: Permission,
  answer: Answer | undefined,
): SignerError {
  const describe = (thrown: unknown) => describeError(thrown, permission, answer)
  const signerError = asSignerError(
    error,
    { name: backend, describeError: describe },
    `make a request for ${permission}`,
  )
  scrub(error)
  return signerError
}

/** The members of the SDK's errors that contain the request, or text of the response. */
interface Holder {
  readonly request?: { readonly headers?: { delete?(name: string): void } }
  readonly response?: { bodyAsText?: unknown; parsedBody?: unknown }
  details?: unknown
}

/**
 * Sanitizes the text of an error of the SDK, and removes the request, whose headers contain the access token. Errors of
 * a credential belong to the caller and are not changed.
 */
function scrub(error: unknown): void {
  if (!(error instanceof Error) || isCredentialError(error)) return
  sanitizeError(error, (each) => {
    const holder = each as Holder
    const { request, response, details } = holder
    request?.headers?.delete?.('authorization')
    Reflect.deleteProperty(each, 'request')
    if (details !== undefined) holder.details = readable(details)
    if (response === undefined) return
    Reflect.deleteProperty(response, 'request')
    if (typeof response.bodyAsText === 'string') response.bodyAsText = sanitize(response.bodyAsText)
    if (response.parsedBody !== undefined) response.parsedBody = readable(response.parsedBody)
  })
}

/** The value itself if sanitizing does not change it, else its sanitized text. */
function readable(value: unknown): unknown {
  const text = sanitizeValue(value)
  return text === JSON.stringify(value) ? value : text
}
