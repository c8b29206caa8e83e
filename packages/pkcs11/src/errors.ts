import { SignerError, type SignerErrorCode, type SignerErrorOptions } from '@countersign/core'

export const backend = 'pkcs11'

/** An error of this backend. */
export function failure(
  code: SignerErrorCode,
  message: string,
  options: Omit<SignerErrorOptions, 'backend'> = {},
): SignerError {
  return new SignerError(code, message, { ...options, backend })
}

/** The error of every use of a signer after its `close()`. */
export function closed(): SignerError {
  return failure('ERR_SIGNER_CONFIG', 'This signer was closed; make a new one')
}

export const CKR_OBJECT_HANDLE_INVALID = 130
export const CKR_SESSION_COUNT = 177
export const CKR_USER_ALREADY_LOGGED_IN = 256
export const CKR_CRYPTOKI_ALREADY_INITIALIZED = 401

type ReturnValue = readonly [name: string, code: SignerErrorCode, advice: string]

const config = 'ERR_SIGNER_CONFIG'
const denied = 'ERR_SIGNER_ACCESS_DENIED'
const notFound = 'ERR_SIGNER_KEY_NOT_FOUND'
const unavailable = 'ERR_SIGNER_UNAVAILABLE'
const unsupported = 'ERR_SIGNER_KEY_UNSUPPORTED'
const unexpected = 'ERR_SIGNER_BACKEND'

const seeLog = 'see the log of the module'
const noSession = 'the session was closed'
const noKey = 'the key is not on the token any more'
const noMechanism = 'the token does not have this mechanism'

/** The return values of PKCS#11, with their code and advice. */
const returnValues: { readonly [value: number]: ReturnValue } = {
  2: ['CKR_HOST_MEMORY', unavailable, 'the module ran out of memory'],
  3: ['CKR_SLOT_ID_INVALID', config, 'there is no such slot'],
  5: ['CKR_GENERAL_ERROR', unavailable, seeLog],
  6: ['CKR_FUNCTION_FAILED', unavailable, seeLog],
  7: ['CKR_ARGUMENTS_BAD', config, 'the module may need "libraryParameters"'],
  10: ['CKR_CANT_LOCK', config, 'the module does not support threads'],
  48: ['CKR_DEVICE_ERROR', unavailable, 'check that the device, or its server, is up'],
  49: ['CKR_DEVICE_MEMORY', unavailable, 'the device has no memory left; close unused sessions'],
  50: ['CKR_DEVICE_REMOVED', unavailable, 'the token was removed; insert it again'],
  84: ['CKR_FUNCTION_NOT_SUPPORTED', unsupported, 'the token does not have this function'],
  96: ['CKR_KEY_HANDLE_INVALID', notFound, noKey],
  98: ['CKR_KEY_SIZE_RANGE', unsupported, 'the token does not sign with keys of this size'],
  99: ['CKR_KEY_TYPE_INCONSISTENT', unsupported, 'the key does not fit the algorithm'],
  104: [
    'CKR_KEY_FUNCTION_NOT_PERMITTED',
    unsupported,
    'the key is not allowed to sign; it needs CKA_SIGN',
  ],
  112: ['CKR_MECHANISM_INVALID', unsupported, `${noMechanism}; choose another "alg"`],
  113: [
    'CKR_MECHANISM_PARAM_INVALID',
    unsupported,
    `${noMechanism} with these parameters; choose another "alg"`,
  ],
  130: ['CKR_OBJECT_HANDLE_INVALID', notFound, noKey],
  144: ['CKR_OPERATION_ACTIVE', unavailable, 'another operation is active in the session'],
  160: ['CKR_PIN_INCORRECT', denied, 'the PIN is wrong; it will not be tried again'],
  161: ['CKR_PIN_INVALID', denied, 'the PIN has characters that the token does not accept'],
  162: ['CKR_PIN_LEN_RANGE', denied, 'the PIN is too short or too long'],
  163: ['CKR_PIN_EXPIRED', denied, 'the PIN has expired; set a new one'],
  164: ['CKR_PIN_LOCKED', denied, 'the PIN is locked; the security officer must set a new one'],
  176: ['CKR_SESSION_CLOSED', unavailable, noSession],
  177: ['CKR_SESSION_COUNT', unavailable, 'the token has no sessions left; lower "sessions"'],
  179: ['CKR_SESSION_HANDLE_INVALID', unavailable, noSession],
  224: ['CKR_TOKEN_NOT_PRESENT', unavailable, 'the token was removed; insert it again'],
  225: ['CKR_TOKEN_NOT_RECOGNIZED', config, 'the module does not know this token'],
  256: ['CKR_USER_ALREADY_LOGGED_IN', unexpected, 'a user is already logged in'],
  257: ['CKR_USER_NOT_LOGGED_IN', denied, 'the token requires a login; give its "pin"'],
  258: ['CKR_USER_PIN_NOT_INITIALIZED', denied, 'the token has no user PIN yet; initialise it'],
  260: ['CKR_USER_ANOTHER_ALREADY_LOGGED_IN', denied, 'another user is logged in'],
  400: [
    'CKR_CRYPTOKI_NOT_INITIALIZED',
    unavailable,
    'another part of the process finalised the module',
  ],
  401: ['CKR_CRYPTOKI_ALREADY_INITIALIZED', unexpected, 'the module is already in use'],
}

/** The return value in an error of `pkcs11js`, or `undefined` for any other error. */
export function returnValueOf(error: unknown): number | undefined {
  const { code, message } = (error ?? {}) as { readonly code?: unknown; readonly message?: unknown }
  if (typeof code === 'number' && code > 0) return code
  // Some errors of the library have the value only in their text.
  const stated = /CKR_\w+:(\d+)/.exec(String(message))?.[1]
  return stated === undefined ? undefined : Number(stated)
}

/** The `SignerError` for an error of the module. */
export function moduleFailure(error: unknown, doing: string): SignerError {
  if (SignerError.is(error)) return error
  const value = returnValueOf(error)
  if (value === undefined) return failure(unexpected, `${doing} failed`, { cause: error })
  const known = returnValues[value]
  if (known === undefined) {
    const hex = `0x${value.toString(16)}`
    const message = `${doing} failed with the PKCS#11 return value ${hex}`
    return failure(unexpected, message, { cause: error })
  }
  const [name, code, advice] = known
  return failure(code, `${doing} failed with ${name}: ${advice}`, { cause: error })
}

/** Makes a call to the module; throws a `SignerError`. */
export function guarded<T>(doing: string, call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw moduleFailure(error, doing)
  }
}

/** The token, a session, the login or the state of the module is lost: the module must be restarted. */
const lost: ReadonlySet<number> = new Set([48, 50, 144, 176, 179, 224, 225, 257, 400])

/** May mean the same, or a fault of this call or this key alone. */
const doubtful: ReadonlySet<number> = new Set([5, 6, 96, 130])
const firstOfVendors = 0x80000000

/** Whether an error means, or may mean, that the module must be restarted. */
export function lossBehind(error: unknown): 'certain' | 'possible' | undefined {
  const value = valueBehind(error)
  if (value === undefined) return undefined
  if (lost.has(value)) return 'certain'
  return doubtful.has(value) || value >= firstOfVendors ? 'possible' : undefined
}

/** Whether the token refused the PIN. */
export function isRefusal(error: unknown): boolean {
  const value = valueBehind(error)
  return value !== undefined && value >= 160 && value <= 164
}

/** The return value in an error, or in the cause of a `SignerError`. */
function valueBehind(error: unknown): number | undefined {
  return returnValueOf(error) ?? returnValueOf((error as { readonly cause?: unknown })?.cause)
}
