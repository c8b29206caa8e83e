// @ts-check
import { SignerError } from '@countersign/core'
import { OAuthError } from '@countersign/oauth'

/** @import { TokenResponse } from '@countersign/oauth' */
/** @import { VirtualTime } from './virtual-time.js' */

/**
 * Counts events by second, and refuses those above a limit.
 *
 * @typedef {object} Meter
 * @property {() => boolean} admit  counts one, and tells whether the limit permits it
 * @property {() => Load} load
 */

/** @typedef {{ total: number, worstSecond: number, refused: number }} Load  of requests, the refused ones included */

/**
 * @param {VirtualTime} time
 * @param {number} perSecond
 * @returns {Meter}
 */
export function meter(time, perSecond) {
  let total = 0
  let refused = 0
  let worstSecond = 0
  let second = -1
  let inSecond = 0
  return {
    admit() {
      const current = Math.floor(time.now() / 1000)
      if (current !== second) {
        second = current
        inSecond = 0
      }
      total += 1
      inSecond += 1
      worstSecond = Math.max(worstSecond, inSecond)
      if (inSecond <= perSecond) return true
      refused += 1
      return false
    },
    load: () => ({ total, worstSecond, refused }),
  }
}

/** What the key service and the authorization server of a fleet permit, and how long they take. */
export const limits = {
  /** The quota of AWS KMS for asymmetric signatures, for an account and region. */
  signaturesPerSecond: 1000,
  signatureMilliseconds: 20,
  tokenRequestsPerSecond: 100,
  tokenRequestMilliseconds: 80,
  retryAfterSeconds: 1,
}

/** The error of a key service over its quota. */
export function throttled() {
  return new SignerError('ERR_SIGNER_THROTTLED', 'the key service throttles requests', {
    backend: 'simulation',
  })
}

/**
 * The error that the token request of the product throws after a 429.
 *
 * @param {number} retryAfterSeconds
 */
export function tooManyRequests(retryAfterSeconds) {
  return new OAuthError('ERR_OAUTH_UNAVAILABLE', 'the authorization server throttles requests', {
    status: 429,
    retryAfterSeconds,
  })
}

/**
 * @typedef {object} StoredToken
 * @property {number} serial  a later token has a higher one
 * @property {number} expiresAt  in milliseconds
 */

/**
 * A store that all replicas share: one token, and the lease of the replica that renews it.
 *
 * A replica that comes with the newest token gets the lease, if nobody has it, and goes on with the token if somebody
 * has. A replica without a usable token waits for the one of the lease's owner.
 *
 * @param {VirtualTime} time
 * @param {{ lifetimeSeconds: number }} options
 */
export function sharedStore(time, { lifetimeSeconds }) {
  /** @type {StoredToken | undefined} */
  let stored
  let leaseEndsAt = 0
  const leaseMilliseconds = 10_000
  const pollMilliseconds = 200
  // Shorter than this, and the token cache would use it longer than it is valid.
  const usableMilliseconds = Math.min(lifetimeSeconds * 100, 30_000)

  return {
    /**
     * @param {number} known  serial of the replica's own token; 0 without one
     * @param {() => Promise<StoredToken>} renew  requests another token
     * @returns {Promise<StoredToken>}
     */
    async newer(known, renew) {
      for (;;) {
        const usable =
          stored !== undefined && stored.expiresAt - time.now() > usableMilliseconds
            ? stored
            : undefined
        if (usable !== undefined && usable.serial > known) return usable
        if (time.now() >= leaseEndsAt) {
          leaseEndsAt = time.now() + leaseMilliseconds
          try {
            stored = await renew()
            return stored
          } finally {
            leaseEndsAt = 0
          }
        }
        if (usable !== undefined) return usable
        await time.sleep(pollMilliseconds * (0.5 + time.random()))
      }
    },
  }
}

/**
 * The token response for a token that somebody else may have requested.
 *
 * @param {VirtualTime} time
 * @param {StoredToken} token
 * @returns {TokenResponse}
 */
export function tokenResponseOf(time, { serial, expiresAt }) {
  const expires_in = Math.floor((expiresAt - time.now()) / 1000)
  return { access_token: `token-${serial}`, token_type: 'bearer', expires_in }
}
