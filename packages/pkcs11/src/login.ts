import type { PKCS11 } from 'pkcs11js'
import { CKR_USER_ALREADY_LOGGED_IN, returnValueOf } from './ckr.ts'
import {
  CKF_USER_PIN_COUNT_LOW,
  CKF_USER_PIN_FINAL_TRY,
  CKF_USER_PIN_LOCKED,
  CKU_USER,
} from './constants.ts'
import { failure, moduleFailure } from './failure.ts'

/** How to log in, and how far to go. */
export interface Login {
  /** Absent for a token that asks for its PIN itself. */
  readonly pin?: string | undefined
  /** Log in even though the token says that one more wrong PIN locks it. */
  readonly allowFinalTry: boolean
  /** Do not log in if the token says that a wrong PIN was given since the last login. */
  readonly cautious: boolean
}

/** Leave to log in once more. */
export interface Permission {
  /** As in {@link Login}. */
  readonly cautious: boolean
  /** The PIN of now, where it is another than that of the login before. */
  readonly pin?: string | undefined
}

/** Has a login take its turn among all that want one at the token; rejects where there must be none. */
export type Permit = (
  logIn: (permission: Permission) => boolean | Promise<boolean>,
) => Promise<void>

/**
 * Logs the process in, unless the token says that this could lock it.
 *
 * @returns whether the token accepted the PIN; `false` when the process was logged in already and the token did not
 *   look at it.
 */
export function logIn(native: PKCS11, session: Buffer, flags: number, login: Login): boolean {
  if ((flags & CKF_USER_PIN_LOCKED) !== 0) {
    throw denied('The token says that its PIN is locked; the security officer has to set a new one')
  }
  if ((flags & CKF_USER_PIN_FINAL_TRY) !== 0 && !login.allowFinalTry) {
    throw denied(
      'The token says that one more wrong PIN locks it, so none was tried; log in by other means first, or allow it by "allowFinalPinTry"',
    )
  }
  if ((flags & CKF_USER_PIN_COUNT_LOW) !== 0 && login.cautious) {
    throw denied(
      'The token says that a wrong PIN was given since the last login, and whether it was this one is not known, so it was not tried again; log in by other means first',
    )
  }
  try {
    // The library takes no absent PIN; a token that asks for its PIN itself takes no notice of an empty one.
    native.C_Login(session, CKU_USER, login.pin ?? '')
    return true
  } catch (error) {
    if (returnValueOf(error) === CKR_USER_ALREADY_LOGGED_IN) return false
    throw moduleFailure(error, 'Logging in')
  }
}

function denied(message: string): Error {
  return failure('ERR_SIGNER_ACCESS_DENIED', message)
}
