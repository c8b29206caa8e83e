import { OAuthError, type OAuthErrorCode } from '@countersign/oauth'
import { describeOAuthError } from '../failure.ts'
import { describeUnreachable } from '../network.ts'
import { BrokenStep, type Failure, type StepName } from './step.ts'
import { isTimeout } from './within.ts'

/** Codes of failures on the way to a server, or of one that fails itself. */
const onTheWay: ReadonlySet<OAuthErrorCode> = new Set([
  'ERR_OAUTH_UNAVAILABLE',
  'ERR_OAUTH_TIMEOUT',
])

/** What to do about each code; a step that knows better says so itself. */
const remedies: { readonly [code in OAuthErrorCode]: string } = {
  ERR_OAUTH_DISCOVERY: 'correct the URL, or have the server publish its metadata',
  ERR_OAUTH_ISSUER_MISMATCH:
    'give the issuer exactly as the authorization server states it; if it should be the one that was asked, its metadata, or a proxy before it, is at fault',
  ERR_OAUTH_INSECURE_ENDPOINT: 'use https; plain http is for loopback only',
  ERR_OAUTH_METHOD_NOT_ADVERTISED: 'enable private_key_jwt at the authorization server',
  ERR_OAUTH_ALG_NOT_ADVERTISED:
    'use a key of a listed algorithm, or enable the algorithm at the authorization server',
  ERR_OAUTH_RESOURCE_MISMATCH:
    'use the URL that the metadata names as "resource", or correct the metadata of the MCP server',
  ERR_OAUTH_AUDIENCE:
    'give the issuer of the server that the assertion is for by --issuer, or leave --audience out',
  ERR_OAUTH_ASSERTION: 'give a signed JWT',
  ERR_OAUTH_RESPONSE: 'look up the error in the documentation of the authorization server',
  ERR_OAUTH_TOKEN_REFUSED:
    'compare what the MCP server expects of a token (issuer, audience, scope) with what the authorization server puts into it',
  ERR_OAUTH_INVALID_RESPONSE:
    'check that "token_endpoint" of the metadata is the token endpoint, and what stands before it',
  ERR_OAUTH_UNAVAILABLE:
    'check that the server runs and that this machine reaches it: name, port, network, proxy, certificate',
  ERR_OAUTH_TIMEOUT: 'check the way to the server, or raise the timeout if it needs longer',
}

/** What an error of the OAuth library, of the network or of waiting says; any other error is thrown on. */
export function describeOAuthFailure(error: unknown): Failure {
  if (isTimeout(error)) {
    const found = (error as DOMException).message
    const code = 'ERR_OAUTH_TIMEOUT'
    return { found, remedy: remedies[code], side: 'network', code }
  }
  if (OAuthError.is(error)) {
    const { code } = error
    const side = onTheWay.has(code) ? 'network' : 'refused'
    return { found: describeOAuthError(error), remedy: remedies[code], side, code }
  }
  const why = describeUnreachable(error)
  if (why === undefined) throw error
  const code = 'ERR_OAUTH_UNAVAILABLE'
  const found = `The server cannot be reached: ${why}`
  return { found, remedy: remedies[code], side: 'network', code }
}

/** Does what one step, or several, are about; a failure ends the line at the step that it belongs to. */
export async function attempt<T>(
  work: Promise<T>,
  step: StepName | ((code: OAuthErrorCode | undefined) => StepName),
  remedy?: string,
): Promise<T> {
  try {
    return await work
  } catch (error) {
    const failure = describeOAuthFailure(error)
    const name =
      typeof step === 'function' ? step(OAuthError.is(error) ? error.code : undefined) : step
    throw new BrokenStep(name, remedy === undefined ? failure : { ...failure, remedy })
  }
}
