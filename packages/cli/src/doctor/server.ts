import {
  type AuthorizationServer,
  discoverAuthorizationServer,
  OAuthError,
} from '@countersign/oauth'
import {
  requireAdvertised,
  requireSecureUrl,
  sanitize,
  sanitizeValue,
} from '@countersign/oauth/provider'
import type { ObservedFetch } from './observed-fetch.ts'
import type { Target } from './resource.ts'
import {
  attempt,
  BrokenStep,
  describeOAuthFailure,
  type Examination,
  passed,
  type StepName,
  type StepResult,
  warned,
} from './step.ts'

/** Reads the authorization server's metadata, and holds it to what is needed before anything is signed. */
export async function* examineServer(
  context: Examination,
  { fetch }: ObservedFetch,
  { issuer, namedBy }: Pick<Target, 'issuer' | 'namedBy'>,
  alg: string,
): AsyncGenerator<StepResult, AuthorizationServer> {
  await holds('https', () => requireSecureUrl(issuer, 'issuer', { namedBy }))
  yield passed('https', new URL(issuer).protocol === 'https:' ? 'https' : 'loopback')

  const found = await discover(context, fetch, issuer)
  yield passed('server metadata', 'published')
  if (OAuthError.is(found)) throw new BrokenStep('issuer', describeOAuthFailure(found))
  yield passed('issuer', sanitize(found.issuer))

  await holds('token endpoint', () =>
    requireSecureUrl(found.token_endpoint, 'token endpoint', { namedBy: found.issuer }),
  )
  yield passed('token endpoint', sanitize(found.token_endpoint ?? ''))
  await holds('authentication method', () => requireAdvertised(found, 'private_key_jwt'))
  yield passed('authentication method', 'private_key_jwt is listed')
  await holds('signing algorithm', () => requireAdvertised(found, 'private_key_jwt', alg))
  yield signingAlgorithm(found, alg)
  yield grant(found)
  return found
}

/** The metadata, or how it names another issuer. */
async function discover(
  { within }: Examination,
  fetch: ObservedFetch['fetch'],
  issuer: string,
): Promise<AuthorizationServer | OAuthError> {
  try {
    return await within((signal) => discoverAuthorizationServer(issuer, { fetch, signal }))
  } catch (error) {
    if (OAuthError.is(error) && error.code === 'ERR_OAUTH_ISSUER_MISMATCH') return error
    throw new BrokenStep('server metadata', describeOAuthFailure(error))
  }
}

/** Makes a check of the library's, whose refusal ends the line at this step. */
function holds(step: StepName, check: () => unknown): Promise<unknown> {
  return attempt((async () => check())(), step)
}

function signingAlgorithm(as: AuthorizationServer, alg: string): StepResult {
  const name = 'signing algorithm'
  // That there is a list, and that it holds this algorithm, was checked.
  if (as.token_endpoint_auth_signing_alg_values_supported !== undefined) {
    return passed(name, `${alg} is listed`)
  }
  return warned(
    name,
    'the server does not list any',
    `check in its documentation that it takes ${alg}; RFC 8414 §2 wants the list beside private_key_jwt`,
  )
}

function grant(as: AuthorizationServer): StepResult {
  const name = 'grant'
  const wanted = 'client_credentials'
  const listed: unknown = as.grant_types_supported
  const remedy = `enable the grant ${wanted} at the authorization server if the token is refused`
  if (listed === undefined) return warned(name, 'the server does not list its grants', remedy)
  if (Array.isArray(listed) && listed.includes(wanted)) return passed(name, `${wanted} is listed`)
  return warned(name, `it lists ${sanitizeValue(listed)}`, remedy)
}
