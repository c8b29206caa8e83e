import type { SignerErrorCode, SignerFailure } from '@countersign/core'

interface ReturnValue {
  readonly name: string
  readonly code: SignerErrorCode
  readonly advice: string
}

export const CKR_SESSION_COUNT = 177
export const CKR_USER_ALREADY_LOGGED_IN = 256
export const CKR_CRYPTOKI_ALREADY_INITIALIZED = 401

/** What the return values of PKCS#11 mean to the caller of a signer, by their numbers. */
const returnValues: { readonly [value: number]: ReturnValue } = {
  2: {
    name: 'CKR_HOST_MEMORY',
    code: 'ERR_SIGNER_UNAVAILABLE',
    advice: 'the module ran out of memory',
  },
  3: { name: 'CKR_SLOT_ID_INVALID', code: 'ERR_SIGNER_CONFIG', advice: 'there is no such slot' },
  5: {
    name: 'CKR_GENERAL_ERROR',
    code: 'ERR_SIGNER_UNAVAILABLE',
    advice: 'see the log of the module',
  },
  6: {
    name: 'CKR_FUNCTION_FAILED',
    code: 'ERR_SIGNER_UNAVAILABLE',
    advice: 'see the log of the module',
  },
  7: {
    name: 'CKR_ARGUMENTS_BAD',
    code: 'ERR_SIGNER_CONFIG',
    advice: 'the module may need "libraryParameters"',
  },
  10: {
    name: 'CKR_CANT_LOCK',
    code: 'ERR_SIGNER_CONFIG',
    advice: 'the module cannot be used by threads',
  },
  48: {
    name: 'CKR_DEVICE_ERROR',
    code: 'ERR_SIGNER_UNAVAILABLE',
    advice: 'check that the device, or its server, is up',
  },
  49: {
    name: 'CKR_DEVICE_MEMORY',
    code: 'ERR_SIGNER_UNAVAILABLE',
    advice: 'the device has no memory left; close unused sessions',
  },
  50: {
    name: 'CKR_DEVICE_REMOVED',
    code: 'ERR_SIGNER_UNAVAILABLE',
    advice: 'the token was removed; put it back',
  },
  84: {
    name: 'CKR_FUNCTION_NOT_SUPPORTED',
    code: 'ERR_SIGNER_KEY_UNSUPPORTED',
    advice: 'the token does not have this function',
  },
  96: {
    name: 'CKR_KEY_HANDLE_INVALID',
    code: 'ERR_SIGNER_KEY_NOT_FOUND',
    advice: 'the key is gone from the token',
  },
  98: {
    name: 'CKR_KEY_SIZE_RANGE',
    code: 'ERR_SIGNER_KEY_UNSUPPORTED',
    advice: 'the token does not sign with keys of this size',
  },
  99: {
    name: 'CKR_KEY_TYPE_INCONSISTENT',
    code: 'ERR_SIGNER_KEY_UNSUPPORTED',
    advice: 'the key does not fit the algorithm',
  },
  104: {
    name: 'CKR_KEY_FUNCTION_NOT_PERMITTED',
    code: 'ERR_SIGNER_KEY_UNSUPPORTED',
    advice: 'the key is not allowed to sign; it needs CKA_SIGN',
  },
  112: {
    name: 'CKR_MECHANISM_INVALID',
    code: 'ERR_SIGNER_KEY_UNSUPPORTED',
    advice: 'the token does not have this mechanism; choose another "alg"',
  },
  113: {
    name: 'CKR_MECHANISM_PARAM_INVALID',
    code: 'ERR_SIGNER_KEY_UNSUPPORTED',
    advice: 'the token does not have this mechanism with these parameters; choose another "alg"',
  },
  130: {
    name: 'CKR_OBJECT_HANDLE_INVALID',
    code: 'ERR_SIGNER_KEY_NOT_FOUND',
    advice: 'the key is gone from the token',
  },
  160: {
    name: 'CKR_PIN_INCORRECT',
    code: 'ERR_SIGNER_ACCESS_DENIED',
    advice: 'the PIN is wrong; it will not be tried again',
  },
  161: {
    name: 'CKR_PIN_INVALID',
    code: 'ERR_SIGNER_ACCESS_DENIED',
    advice: 'the PIN has characters that the token does not know',
  },
  162: {
    name: 'CKR_PIN_LEN_RANGE',
    code: 'ERR_SIGNER_ACCESS_DENIED',
    advice: 'the PIN is too short or too long',
  },
  163: {
    name: 'CKR_PIN_EXPIRED',
    code: 'ERR_SIGNER_ACCESS_DENIED',
    advice: 'the PIN has expired; set a new one',
  },
  164: {
    name: 'CKR_PIN_LOCKED',
    code: 'ERR_SIGNER_ACCESS_DENIED',
    advice: 'the PIN is locked; the security officer has to set a new one',
  },
  176: {
    name: 'CKR_SESSION_CLOSED',
    code: 'ERR_SIGNER_UNAVAILABLE',
    advice: 'the session was closed',
  },
  177: {
    name: 'CKR_SESSION_COUNT',
    code: 'ERR_SIGNER_UNAVAILABLE',
    advice: 'the token has no sessions left; lower "sessions"',
  },
  179: {
    name: 'CKR_SESSION_HANDLE_INVALID',
    code: 'ERR_SIGNER_UNAVAILABLE',
    advice: 'the session was closed',
  },
  224: {
    name: 'CKR_TOKEN_NOT_PRESENT',
    code: 'ERR_SIGNER_UNAVAILABLE',
    advice: 'the token was removed; put it back',
  },
  225: {
    name: 'CKR_TOKEN_NOT_RECOGNIZED',
    code: 'ERR_SIGNER_CONFIG',
    advice: 'the module does not know this token',
  },
  256: {
    name: 'CKR_USER_ALREADY_LOGGED_IN',
    code: 'ERR_SIGNER_BACKEND',
    advice: 'somebody is logged in already',
  },
  257: {
    name: 'CKR_USER_NOT_LOGGED_IN',
    code: 'ERR_SIGNER_ACCESS_DENIED',
    advice: 'the token wants a login; give its "pin"',
  },
  258: {
    name: 'CKR_USER_PIN_NOT_INITIALIZED',
    code: 'ERR_SIGNER_ACCESS_DENIED',
    advice: 'the token has no user PIN yet; initialise it',
  },
  260: {
    name: 'CKR_USER_ANOTHER_ALREADY_LOGGED_IN',
    code: 'ERR_SIGNER_ACCESS_DENIED',
    advice: 'another user is logged in',
  },
  400: {
    name: 'CKR_CRYPTOKI_NOT_INITIALIZED',
    code: 'ERR_SIGNER_UNAVAILABLE',
    advice: 'the module was finalised by someone else',
  },
  401: {
    name: 'CKR_CRYPTOKI_ALREADY_INITIALIZED',
    code: 'ERR_SIGNER_BACKEND',
    advice: 'the module is in use already',
  },
}

/** The return value that an error of `pkcs11js` carries, or `undefined` for any other error. */
export function returnValueOf(error: unknown): number | undefined {
  const { code, message } = (error ?? {}) as { readonly code?: unknown; readonly message?: unknown }
  if (typeof code === 'number' && code > 0) return code
  // Where the library throws a plain error, the value stands in its text.
  const stated = /CKR_\w+:(\d+)/.exec(String(message))?.[1]
  return stated === undefined ? undefined : Number(stated)
}

/** What a return value means, in the terms of a `SignerError`. */
export function describeReturnValue(value: number, doing: string): SignerFailure {
  const known = returnValues[value]
  if (known === undefined) {
    return {
      code: 'ERR_SIGNER_BACKEND',
      message: `${doing} failed with the PKCS#11 return value 0x${value.toString(16)}`,
    }
  }
  return { code: known.code, message: `${doing} failed with ${known.name}: ${known.advice}` }
}

/** The module's connection to the token, or all of its state, is gone: it has to be started anew. */
const lost: ReadonlySet<number> = new Set([48, 50, 224, 225, 400])

/** A session, a login or a handle is gone, perhaps with others: what is left has to be looked at. */
const stale: ReadonlySet<number> = new Set([96, 130, 176, 179, 257])

/** Says nothing definite; some modules say no more when their connection is gone. */
const vague: ReadonlySet<number> = new Set([5, 6])
const firstOfVendors = 0x80000000

/** Tells whether a value may mean that the module has to be started anew, or anything else. */
export function isVague(value: number): boolean {
  return vague.has(value) || value >= firstOfVendors
}

/** Tells whether the module has to be started anew. */
export function isConnectionLost(value: number): boolean {
  return lost.has(value)
}

/** Tells whether sessions, login or handles are out of date. */
export function isStale(value: number): boolean {
  return stale.has(value)
}

/** The return value that an error carries itself, or that one of ours has as its cause. */
export function valueBehind(error: unknown): number | undefined {
  return returnValueOf(error) ?? returnValueOf((error as { readonly cause?: unknown })?.cause)
}

/** Tells whether the token refused the PIN itself. */
export function isRefusal(error: unknown): boolean {
  const value = valueBehind(error)
  return value !== undefined && value >= 160 && value <= 164
}
