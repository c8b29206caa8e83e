/**
 * For the packages of this repository alone: it may change in any release.
 *
 * @module
 */

export {
  backoff,
  Deadline,
  ownOptions,
  rateLimit,
  requireString,
  requireTimeout,
  sanitize,
  sanitizeValue,
  timeoutSignal,
  unlessAborted,
} from '@countersign/core/backend'
export {
  firstHop,
  followRedirects,
  isReplayable,
  proofRefusal,
  sendWithToken,
  tokenSchemes,
} from './authorized-fetch.ts'
export { acceptsProofs, type Dpop, readDpop, requireTokenType } from './dpop.ts'
export { boundedFetch, type TokenChallenge, tokenChallenge } from './http.ts'
export { limitScope, uniteScopes } from './scope.ts'
export {
  isWithin,
  requireAdvertised,
  requireIssuer,
  requireReachable,
  requireSecureUrl,
  type SecureUrlOptions,
  sameIssuer,
} from './server-checks.ts'
export { tokenCache } from './token-cache.ts'
