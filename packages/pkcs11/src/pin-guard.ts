import { createHmac, randomBytes } from 'node:crypto'
import { isMainThread } from 'node:worker_threads'
import { SignerError } from '@countersign/core'
import { isRefusal } from './ckr.ts'
import { failure } from './failure.ts'
import { claimLogin } from './login-claim.ts'

/** What is remembered of a PIN is of no use outside this process. */
const key = randomBytes(32)
const refused = new Set<string>()
const accepted = new Set<string>()
const uncertain = new Set<string>()
const turns = new Map<string, Promise<unknown>>()

/** A PIN and the token that it is for. */
export interface Trial {
  /** What tells the token from all others. */
  readonly token: string
  readonly pin: string
}

/**
 * Sees to it that a PIN which a token refused is not given to it a second time in this process, whoever asks.
 *
 * Logins at one token take turns, so that those who wait learn from the one before them; a login in another thread is
 * waited for, and what it learnt holds here, too.
 *
 * @param logIn - gives the PIN to the token; `cautious` says that it may have been given before, with what outcome is
 *   not known.
 */
export async function guardPin(
  trial: Trial,
  seconds: number,
  logIn: (cautious: boolean) => Promise<void>,
): Promise<void> {
  const before = turns.get(trial.token) ?? Promise.resolve()
  const turn = before.catch(() => {}).then(() => tryPin(trial, seconds, logIn))
  turns.set(trial.token, turn)
  try {
    await turn
  } finally {
    if (turns.get(trial.token) === turn) turns.delete(trial.token)
  }
}

/** Takes note that a token refused a PIN which it had accepted before. */
export async function rememberRefusal(trial: Trial): Promise<void> {
  const name = nameOf(trial)
  accepted.delete(name)
  refused.add(name)
  const claim = await claimLogin(trial.token, 0)
  claim?.refused()
}

async function tryPin(
  trial: Trial,
  seconds: number,
  logIn: (cautious: boolean) => Promise<void>,
): Promise<void> {
  const name = nameOf(trial)
  if (refused.has(name)) {
    throw denied('The token refused this PIN before, so it was not tried again')
  }
  const claim = await claimLogin(trial.token, seconds)
  if (claim?.state === 'refused elsewhere') {
    throw denied('The token refused a PIN of another thread of this process, so none was tried')
  }
  // A thread that cannot ask the others has only the token's own word.
  const blind = claim === undefined ? !isMainThread : claim.state === 'abandoned'
  try {
    await logIn(!accepted.has(name) && (blind || uncertain.has(name)))
  } catch (error) {
    if (isRefusal(error)) {
      refused.add(name)
      accepted.delete(name)
      claim?.refused()
      throw error
    }
    if (!SignerError.is(error) || error.code !== 'ERR_SIGNER_ACCESS_DENIED') uncertain.add(name)
    claim?.release()
    throw error
  }
  accepted.add(name)
  uncertain.delete(name)
  claim?.release()
}

function nameOf({ token, pin }: Trial): string {
  return createHmac('sha256', key)
    .update(JSON.stringify([token, pin]))
    .digest('base64url')
}

function denied(why: string): Error {
  return failure('ERR_SIGNER_ACCESS_DENIED', `${why}; restart the process with the right one`)
}
