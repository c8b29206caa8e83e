import { sanitize, sanitizeValue } from '@countersign/core/backend'
import {
  type AuthorizationServer,
  allowInsecureRequests,
  customFetch,
  genericTokenEndpointRequest,
  processGenericTokenEndpointResponse,
} from 'oauth4webapi'
import { originOf, requireSecureUrl } from './authorization-server.ts'
import type { ClientAuthentication, ReplaceKey } from './client-authentication.ts'
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
  /** The issuer that the caller pinned. */
  readonly issuer: string
  readonly clientId: string
  readonly authentication: ClientAuthentication
  /** Body parameters, `grant_type` among them. */
  readonly parameters: URLSearchParams
  readonly fetch: Fetch
  readonly signal: AbortSignal
  readonly now: () => number
  /** Told how to go on should the server not accept the client's proof. */
  readonly onReplaceable: (replace: ReplaceKey) => void
}

/** Sends one token request and reads its answer; the client authenticates itself anew each time. */
export async function requestToken(request: TokenRequest): Promise<TokenResponse> {
  const { as, issuer, clientId, authentication, parameters, signal, onReplaceable } = request
  const client = { client_id: clientId }
  const endpoint = requireSecureUrl(as.token_endpoint, 'token endpoint', { namedBy: as.issuer })
  let sent: readonly string[] | undefined
  const response = await genericTokenEndpointRequest(
    as,
    client,
    async (server, self, body, headers) => {
      await authentication(server, self, body, headers, { issuer, signal, onReplaceable })
      sent = secretsOf(body, headers)
    },
    parameters.get('grant_type') ?? '',
    parameters,
    {
      signal,
      [customFetch]: boundedFetch(request.fetch, 'ERR_OAUTH_INVALID_RESPONSE'),
      [allowInsecureRequests]: endpoint.protocol === 'http:',
    },
  ).catch((error) => {
    // The error of an authentication says by itself what to do.
    if (sent === undefined) throw error
    throw describeFetchError(error, signal, `token endpoint ${originOf(endpoint)}`, sent)
  })
  if (response.status !== 200) throw await describeRefusal(response, as, sent ?? [], request.now())
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
      `The answer of ${sanitize(as.issuer)} is not a token response: ${sanitize(why)}`,
      { status: response.status },
    )
  }
  if (token.token_type !== 'bearer') {
    throw new OAuthError(
      'ERR_OAUTH_INVALID_RESPONSE',
      `${sanitize(as.issuer)} granted a token of type ${sanitizeValue(token.token_type)}; only bearer tokens can be used`,
    )
  }
  // What no header can carry would be repeated in full by the error of whoever tries.
  if (!/^[\x21-\x7e]+$/.test(token.access_token)) {
    throw new OAuthError(
      'ERR_OAUTH_INVALID_RESPONSE',
      `${sanitize(as.issuer)} granted a token with characters that a bearer token cannot have`,
    )
  }
  return Object.freeze(token)
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
  const error = typeof code === 'string' ? sanitize(code, sent) : undefined
  const error_description = typeof text === 'string' ? sanitize(text, sent) : undefined
  const transient = status === 429 || status >= 500 || error === 'temporarily_unavailable'
  const said = [error ?? `HTTP status ${status}`, error_description].filter(Boolean).join(': ')
  if (transient) {
    return new OAuthError(
      'ERR_OAUTH_UNAVAILABLE',
      `${sanitize(as.issuer)} cannot grant a token now: ${said}`,
      {
        error,
        error_description,
        status,
        retryAfterSeconds: retryAfterSeconds(response, now),
      },
    )
  }
  if (error !== undefined) {
    return new OAuthError('ERR_OAUTH_RESPONSE', `${sanitize(as.issuer)} refused: ${said}`, {
      error,
      error_description,
      status,
    })
  }
  const { pathname } = new URL(as.token_endpoint ?? as.issuer)
  return new OAuthError(
    'ERR_OAUTH_INVALID_RESPONSE',
    `The token endpoint ${sanitize(pathname)} of ${sanitize(as.issuer)} answered with HTTP status ${status} and no OAuth error`,
    { status },
  )
}

const publicParameters: ReadonlySet<string> = new Set([
  'grant_type',
  'scope',
  'resource',
  'audience',
  'client_id',
  'client_assertion_type',
  'requested_token_type',
  'subject_token_type',
  'actor_token_type',
])

/** All that a server must not be able to have repeated in an error, in each form that it was sent in or decodes to. */
function secretsOf(body: URLSearchParams, headers: Headers): string[] {
  const secrets = [...body].flatMap(([name, value]) => (publicParameters.has(name) ? [] : [value]))
  const [scheme = '', credentials = ''] = headers.get('authorization')?.split(' ') ?? []
  secrets.push(credentials)
  if (scheme.toLowerCase() === 'basic') {
    const pair = Buffer.from(credentials, 'base64').toString()
    const encoded = pair.slice(pair.indexOf(':') + 1)
    secrets.push(pair, encoded, new URLSearchParams(`=${encoded}`).get('') ?? '')
  }
  const forms = secrets.flatMap((secret) => [
    secret,
    encodeURIComponent(secret),
    new URLSearchParams([['', secret]]).toString().slice(1),
  ])
  return forms.filter((form) => form !== '')
}
