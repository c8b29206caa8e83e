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
} from '@countersign/oauth/internal'
import type { ObservedFetch } from './observed-fetch.ts'
import type { Target } from './resource.ts'
import {
  attempt,
  describeOAuthFailure,
  type Examination,
  FailedStep,
  passed,
  type StepName,
  type StepResult,
  warned,
} from './step.ts'

/** Reads the metadata of the authorization server, and checks what must be true before an assertion is signed. */
export async function* examineServer(
  context: Examination,
  { fetch }: ObservedFetch,
  { issuer, namedBy }: Pick<Target, 'issuer' | 'namedBy'>,
  alg: string,
): AsyncGenerator<StepResult, AuthorizationServer> {
  await check('https', () => requireSecureUrl(issuer, 'issuer', { namedBy }))
  yield passed('https', new URL(issuer).protocol === 'https:' ? 'https' : 'loopback')

  const found = await discover(context, fetch, issuer)
  yield passed('server metadata', 'published')
  if (OAuthError.is(found)) throw new FailedStep('issuer', describeOAuthFailure(found))
  yield passed('issuer', sanitize(found.issuer))

  await check('token endpoint', () =>
    requireSecureUrl(found.token_endpoint, 'token endpoint', { namedBy: found.issuer }),
  )
  yield passed('token endpoint', sanitize(found.token_endpoint ?? ''))
  await check('authentication method', () => requireAdvertised(found, 'private_key_jwt'))
  yield passed('authentication method', 'private_key_jwt is listed')
  await check('signing algorithm', () => requireAdvertised(found, 'private_key_jwt', alg))
  yield signingAlgorithm(found, alg)
  yield grant(found)
  return found
}

/** Returns the metadata, or the error when it names another issuer. */
async function discover(
  { within }: Examination,
  fetch: ObservedFetch['fetch'],
  issuer: string,
): Promise<AuthorizationServer | OAuthError> {
  try {
    return await within((signal) => discoverAuthorizationServer(issuer, { fetch, signal }))
  } catch (error) {
    if (OAuthError.is(error) && error.code === 'ERR_OAUTH_ISSUER_MISMATCH') return error
    throw new FailedStep('server metadata', describeOAuthFailure(error))
  }
}

/** Runs a check of the library; when it throws, the step fails. */
function check(step: StepName, requirement: () => unknown): Promise<unknown> {
  return attempt((async () => requirement())(), step)
}

function signingAlgorithm(as: AuthorizationServer, alg: string): StepResult {
  const name = 'signing algorithm'
  // If there is a list, it has this algorithm: that was checked.
  if (as.token_endpoint_auth_signing_alg_values_supported !== undefined) {
    return passed(name, `${alg} is listed`)
  }
  return warned(
    name,
    'the server does not list any',
    `check in its documentation that it accepts ${alg}; RFC 8414 §2 requires the list with private_key_jwt`,
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
