import type { ReplaceKey } from './client-authentication.ts'
import { OAuthError } from './error.ts'

/**
 * Sends a request, once more when the server does not know the client by a key that was replaced meanwhile.
 *
 * @param send - authenticates the client anew each time, and tells how to look for the successor of its key.
 */
export async function withReplacedKey<T>(
  send: (onReplaceable: (replace: ReplaceKey) => void) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  let replace: ReplaceKey | undefined
  try {
    return await send((offered) => {
      replace = offered
    })
  } catch (error) {
    if (!isUnknownClient(error) || replace === undefined) throw error
    if (!(await replace({ signal }).catch(() => false))) throw error
  }
  return send(() => {})
}

function isUnknownClient(error: unknown): boolean {
  if (!OAuthError.is(error) || error.code !== 'ERR_OAUTH_RESPONSE') return false
  return error.error === 'invalid_client'
}
