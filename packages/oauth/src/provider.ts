/**
 * The pieces that a provider for a particular OAuth client library is built from, `@countersign/mcp` for one.
 *
 * @module
 */

export {
  backoff,
  sanitize,
  sanitizeValue,
  timeoutSignal,
  unlessAborted,
} from '@countersign/core/backend'
export {
  requireAdvertised,
  requireIssuer,
  requireReachable,
  requireSecureUrl,
  type SecureUrlOptions,
  sameIssuer,
} from './authorization-server.ts'
export { type BearerChallenge, bearerChallenge } from './challenge.ts'
export { boundedFetch } from './http.ts'
export { isWithin } from './protected-resource.ts'
export { firstHop, followRedirects, isReplayable } from './redirect.ts'
export { limitScope, uniteScopes } from './scope.ts'
