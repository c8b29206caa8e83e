/**
 * The parts from which a provider for an OAuth client library is built, such as `@countersign/mcp`.
 *
 * @module
 */

export { sanitize, sanitizeValue, unlessAborted } from '@countersign/core/backend'
export { type BearerChallenge, bearerChallenge } from './challenge.ts'
export { boundedFetch } from './http.ts'
export { limitScope, uniteScopes } from './scope.ts'
export {
  isWithin,
  requireAdvertised,
  requireIssuer,
  requireSecureUrl,
  type SecureUrlOptions,
  sameIssuer,
} from './server-checks.ts'
