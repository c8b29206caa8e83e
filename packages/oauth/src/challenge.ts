import { processRevocationResponse, WWWAuthenticateChallengeError } from 'oauth4webapi'

/** What a resource says when it refuses a bearer token, RFC 6750 §3 and RFC 9728 §5.1. */
export interface BearerChallenge {
  readonly error: string | undefined
  readonly scope: string | undefined
  /** Where the resource's metadata is. */
  readonly resourceMetadata: string | undefined
}

/** Reads the bearer challenge of a response, if it has one. */
export async function bearerChallenge(response: Response): Promise<BearerChallenge | undefined> {
  const header = response.headers.get('www-authenticate')
  if (header === null) return undefined
  // The library's parser is reached through any of its response readers; they throw what they find.
  const carrier = new Response(null, { status: 401, headers: { 'www-authenticate': header } })
  const found = await processRevocationResponse(carrier).catch((error: unknown) => error)
  if (!(found instanceof WWWAuthenticateChallengeError)) return undefined
  const challenge = found.cause.find(({ scheme }) => scheme === 'bearer')
  if (challenge === undefined) return undefined
  const { error, scope, resource_metadata: resourceMetadata } = challenge.parameters
  return { error, scope, resourceMetadata }
}
