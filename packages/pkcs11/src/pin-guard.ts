import { createHmac, randomBytes } from 'node:crypto'
import { failure } from './failure.ts'

/** What is remembered of a PIN is of no use outside this process. */
const key = randomBytes(32)
const refused = new Set<string>()
const turns = new Map<string, Promise<unknown>>()

/**
 * Sees to it that a PIN which a token refused is not given to it a second time in this process, whoever asks.
 *
 * Logins at one token take turns, so that those who wait learn from the one before them.
 *
 * @param token - what tells the token from all others.
 * @param logIn - gives the PIN to the token; it says by an error whether the token refused it.
 */
export async function guardPin(
  token: string,
  pin: string | undefined,
  logIn: () => Promise<void>,
  isRefusal: (error: unknown) => boolean,
): Promise<void> {
  const before = turns.get(token) ?? Promise.resolve()
  const turn = before
    .catch(() => {})
    .then(async () => {
      const trial = createHmac('sha256', key)
        .update(JSON.stringify([token, pin]))
        .digest('hex')
      if (refused.has(trial)) {
        throw failure(
          'ERR_SIGNER_ACCESS_DENIED',
          'The token refused this PIN before, so it was not tried again; restart with the right one',
        )
      }
      try {
        await logIn()
      } catch (error) {
        if (pin !== undefined && isRefusal(error)) refused.add(trial)
        throw error
      }
    })
  turns.set(token, turn)
  try {
    await turn
  } finally {
    if (turns.get(token) === turn) turns.delete(token)
  }
}
