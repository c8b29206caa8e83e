import { processRevocationResponse, WWWAuthenticateChallengeError } from 'oauth4webapi'

/** The parameters with which a resource refuses a bearer token, RFC 6750 §3 and RFC 9728 §5.1. */
export interface BearerChallenge {
  readonly error: string | undefined
  readonly scope: string | undefined
  /** The URL of the resource's metadata. */
  readonly resourceMetadata: string | undefined
}

/** Reads the bearer challenge of a response; `undefined` if it has none. */
export async function bearerChallenge(response: Response): Promise<BearerChallenge | undefined> {
  const header = response.headers.get('www-authenticate')
  if (header === null) return undefined
  // The library exports no parser, but each function that reads a response throws the challenges of a 401.
  const carrier = new Response(null, { status: 401, headers: { 'www-authenticate': header } })
  const thrown = await processRevocationResponse(carrier).catch((error: unknown) => error)
  if (!(thrown instanceof WWWAuthenticateChallengeError)) return undefined
  const challenge = thrown.cause.find(({ scheme }) => scheme === 'bearer')
  if (challenge === undefined) return undefined
  const { error, scope, resource_metadata: resourceMetadata } = challenge.parameters
  return { error, scope, resourceMetadata }
}
