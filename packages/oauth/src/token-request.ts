import {
  type AuthorizationServer,
  allowInsecureRequests,
  customFetch,
  genericTokenEndpointRequest,
  processGenericTokenEndpointResponse,
} from 'oauth4webapi'
import { requireSecureUrl } from './authorization-server.ts'
import type { ClientAuthentication } from './client-authentication.ts'
import { OAuthError } from './error.ts'
import { boundedFetch, describeFetchError, type Fetch, retryAfterSeconds } from './http.ts'

/**
 * An access token as the server granted it, RFC 6749 §5.1.
 *
 * @see [RFC 6749 §5.1](https://www.rfc-editor.org/rfc/rfc6749#section-5.1)
 */
export interface TokenResponse {
  readonly access_token: string
  /** In lower case. */
  readonly token_type: string
  /** Seconds that the token is good for; absent when the server does not say. */
  readonly expires_in?: number | undefined
  /** What was granted; absent when it is what was asked for. */
  readonly scope?: string | undefined
  readonly [member: string]: unknown
}

/** One token request: for whom, of whom, and what. */
export interface TokenRequest {
  readonly as: AuthorizationServer
  readonly clientId: string
  readonly authentication: ClientAuthentication
  /** Body parameters, `grant_type` among them. */
  readonly parameters: URLSearchParams
  readonly fetch: Fetch
  readonly signal: AbortSignal
  readonly now: () => number
}

/** Sends one token request and reads its answer; the client authenticates itself anew each time. */
export async function requestToken(request: TokenRequest): Promise<TokenResponse> {
  const { as, clientId, authentication, parameters, signal } = request
  const client = { client_id: clientId }
  const endpoint = requireSecureUrl(as.token_endpoint, 'token endpoint')
  const sent: string[] = []
  let authenticated = false
  const response = await genericTokenEndpointRequest(
    as,
    client,
    async (server, self, body, headers) => {
      await authentication(server, self, body, headers, { signal })
      authenticated = true
      sent.push(...secretsOf(body, headers))
    },
    parameters.get('grant_type') ?? '',
    parameters,
    {
      signal,
      [customFetch]: boundedFetch(request.fetch),
      [allowInsecureRequests]: endpoint.protocol === 'http:',
    },
  ).catch((error) => {
    // What the authentication threw says by itself what to do, unless it was the deadline that ended it.
    if (!authenticated && !signal.aborted) throw error
    throw describeFetchError(error, signal, `token endpoint ${endpoint.origin}`)
  })
  if (response.status !== 200) throw await describeRefusal(response, as, sent, request.now())
  return readToken(response, as, client)
}

async function readToken(
  response: Response,
  as: AuthorizationServer,
  client: { readonly client_id: string },
): Promise<TokenResponse> {
  let token: TokenResponse
  try {
    token = await processGenericTokenEndpointResponse(as, client, response)
  } catch (error) {
    // Not kept as the cause: the library's errors hold the body, and with it perhaps a token.
    const why = error instanceof Error ? error.message : 'it cannot be read'
    throw new OAuthError(
      'ERR_OAUTH_INVALID_RESPONSE',
      `The answer of ${as.issuer} is not a token response: ${why}`,
      { status: response.status },
    )
  }
  if (token.token_type === 'bearer' && token.access_token !== '') return Object.freeze(token)
  throw new OAuthError(
    'ERR_OAUTH_INVALID_RESPONSE',
    `${as.issuer} granted a token of type ${JSON.stringify(token.token_type)}; only bearer tokens can be used`,
  )
}

async function describeRefusal(
  response: Response,
  as: AuthorizationServer,
  sent: readonly string[],
  now: number,
): Promise<OAuthError> {
  const { status } = response
  const body: unknown = await response.json().catch(() => undefined)
  const { error: code, error_description: text } = (body ?? {}) as {
    readonly error?: unknown
    readonly error_description?: unknown
  }
  const error = typeof code === 'string' ? presentable(code, sent) : undefined
  const error_description = typeof text === 'string' ? presentable(text, sent) : undefined
  const transient = status === 429 || status >= 500 || error === 'temporarily_unavailable'
  const said = [error ?? `HTTP status ${status}`, error_description].filter(Boolean).join(': ')
  if (transient) {
    return new OAuthError(
      'ERR_OAUTH_UNAVAILABLE',
      `${as.issuer} cannot grant a token now: ${said}`,
      {
        error,
        error_description,
        status,
        retryAfterSeconds: retryAfterSeconds(response, now),
      },
    )
  }
  if (error !== undefined) {
    return new OAuthError('ERR_OAUTH_RESPONSE', `${as.issuer} refused: ${said}`, {
      error,
      error_description,
      status,
    })
  }
  const { pathname } = new URL(as.token_endpoint ?? as.issuer)
  return new OAuthError(
    'ERR_OAUTH_INVALID_RESPONSE',
    `The token endpoint ${pathname} of ${as.issuer} answered with HTTP status ${status} and no OAuth error`,
    { status },
  )
}

/** The parts of a request that a server must not be able to have repeated in an error. */
function secretsOf(body: URLSearchParams, headers: Headers): string[] {
  const secrets = [
    'client_assertion',
    'client_secret',
    'assertion',
    'subject_token',
    'actor_token',
  ].map((name) => body.get(name))
  const credentials = headers.get('authorization')?.replace(/^basic /i, '') ?? null
  if (credentials !== null) {
    const encoded = Buffer.from(credentials, 'base64')
      .toString()
      .replace(/^[^:]*:/, '')
    secrets.push(credentials, encoded, new URLSearchParams(`=${encoded}`).get(''))
  }
  return secrets.filter((secret) => secret !== null && secret !== '').map(String)
}

/** A server's own words without control characters, without what it was sent, and not endless. */
function presentable(text: string, sent: readonly string[]): string {
  const withoutSecrets = sent.reduce((rest, secret) => rest.replaceAll(secret, '[redacted]'), text)
  return withoutSecrets.replace(/[^\x20-\x7e]/g, ' ').slice(0, 500)
}
