import { createHmac, randomBytes } from 'node:crypto'
import { SignerError } from '@countersign/core'
import { isRefusal } from './ckr.ts'
import { failure } from './failure.ts'

/** Keys the hashes of the PINs, which are of no use outside this process. */
const key = randomBytes(32)

/** A token that locks earliest does so at the third wrong PIN. */
const mostRefusalsInARow = 2

/** What became of the logins at one token. The PINs are kept as hashes. */
interface LoginHistory {
  readonly refused: Set<string>
  /** PINs whose login ended without an answer. */
  readonly unanswered: Set<string>
  /** The PIN of the last successful login. */
  accepted: string | undefined
  refusalsInARow: number
  /** Settles when the latest login is done; the next one waits for it. */
  latest: Promise<unknown>
}

const histories = new Map<string, LoginHistory>()

/** A PIN and the token that it is for. */
export interface Trial {
  /** Identifies the token, whichever module it is reached through. */
  readonly token: string
  readonly pin: string
}

/**
 * Logs in, unless this process knows that the PIN is wrong or that one more wrong PIN could lock the token.
 *
 * Logins at one token run one after the other, so that each knows the outcome of those before it. Worker threads have
 * a history each, since they share no memory.
 *
 * @param logIn - gives the PIN to the token; `cautious` says that it may have been given before, with an unknown
 *   outcome. Returns whether the token accepted it; `false` when it did not look at it.
 * @throws {@link SignerError} `ERR_SIGNER_ACCESS_DENIED` when the token refused this PIN before, or two PINs in a row.
 */
export async function guardPin(
  trial: Trial,
  logIn: (cautious: boolean) => Promise<boolean>,
): Promise<void> {
  const history = historyOf(trial.token)
  const login = history.latest.catch(() => {}).then(() => tryPin(history, hash(trial), logIn))
  history.latest = login
  await login
}

/** Records that a token refused a PIN that it had accepted before. */
export function rememberRefusal(trial: Trial): void {
  addRefusal(historyOf(trial.token), hash(trial))
}

async function tryPin(
  history: LoginHistory,
  pin: string,
  logIn: (cautious: boolean) => Promise<boolean>,
): Promise<void> {
  if (history.refused.has(pin)) {
    throw denied(
      'The token refused this PIN before, so it was not tried again; make a new signer with the right one',
    )
  }
  if (history.refusalsInARow >= mostRefusalsInARow && pin !== history.accepted) {
    throw denied(
      `The token refused ${history.refusalsInARow} PINs in a row, so this process tries no other, which could lock it; find the right PIN by other means, then restart the process`,
    )
  }
  try {
    const accepted = await logIn(pin !== history.accepted && history.unanswered.has(pin))
    if (!accepted) return
  } catch (error) {
    if (isRefusal(error)) addRefusal(history, pin)
    else if (!SignerError.is(error) || error.code !== 'ERR_SIGNER_ACCESS_DENIED') {
      history.unanswered.add(pin)
    }
    throw error
  }
  history.accepted = pin
  history.refusalsInARow = 0
  history.unanswered.delete(pin)
}

function addRefusal(history: LoginHistory, pin: string): void {
  if (history.refused.has(pin)) return
  history.refused.add(pin)
  history.refusalsInARow++
  if (history.accepted === pin) history.accepted = undefined
}

function historyOf(token: string): LoginHistory {
  let history = histories.get(token)
  if (history === undefined) {
    history = {
      refused: new Set(),
      unanswered: new Set(),
      accepted: undefined,
      refusalsInARow: 0,
      latest: Promise.resolve(),
    }
    histories.set(token, history)
  }
  return history
}

function hash({ token, pin }: Trial): string {
  return createHmac('sha256', key)
    .update(JSON.stringify([token, pin]))
    .digest('base64url')
}

function denied(message: string): Error {
  return failure('ERR_SIGNER_ACCESS_DENIED', message)
}
