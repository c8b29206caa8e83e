import { sanitize } from '@countersign/core/backend'
import {
  type AuthorizationServer,
  allowInsecureRequests,
  customFetch,
  genericTokenEndpointRequest,
  processGenericTokenEndpointResponse,
} from 'oauth4webapi'
import type { ClientAuthentication, ReplaceKey } from './client-authentication.ts'
import { acceptsProofs, type Dpop, requireTokenType } from './dpop.ts'
import { OAuthError } from './errors.ts'
import {
  boundedFetch,
  describeFetchError,
  type Fetch,
  isTransient,
  retryAfterSeconds,
} from './http.ts'
import { originOf, requireAdvertised, requireTokenEndpoint } from './server-checks.ts'

/**
 * A successful token response.
 *
 * @see [RFC 6749 §5.1](https://www.rfc-editor.org/rfc/rfc6749#section-5.1)
 */
export interface TokenResponse {
  readonly access_token: string
  /** In lower case. */
  readonly token_type: string
  /** Seconds until the token expires; absent when the server does not say. */
  readonly expires_in?: number | undefined
  /** The granted scope; absent when it is the requested one. */
  readonly scope?: string | undefined
  readonly [member: string]: unknown
}

/** What a token request is made of. */
export interface TokenRequest {
  readonly as: AuthorizationServer
  /** The pinned issuer. */
  readonly issuer: string
  readonly clientId: string
  readonly authentication: ClientAuthentication
  /** Binds the token to a key. */
  readonly dpop: Dpop | undefined
  /** The `token_type` in lower case, where something else than an access token is requested; RFC 8693 §2.2.1. */
  readonly tokenType?: 'n_a'
  /** Makes the body parameters of one request, with `grant_type`. */
  readonly parameters: () => Promise<URLSearchParams>
  readonly fetch: Fetch
  readonly signal: AbortSignal
  readonly now: () => number
}

/**
 * Requests an access token.
 *
 * A server that answers `invalid_client` to a rotating signer may know the successor of its key. Then one more request
 * is sent, if another key can be loaded. And one more request is sent to a server that asks for a nonce or a challenge in
 * the proof.
 */
export async function requestToken(request: TokenRequest): Promise<TokenResponse> {
  const { signal } = request
  let replaceKey: ReplaceKey | undefined
  try {
    return await send(request, (replace) => {
      replaceKey = replace
    })
  } catch (error) {
    if (!isUnknownClient(error) || replaceKey === undefined) throw error
    const isReplaced = await replaceKey({ signal }).catch(() => false)
    if (!isReplaced) throw error
  }
  return send(request)
}

function isUnknownClient(error: unknown): boolean {
  if (!OAuthError.is(error) || error.code !== 'ERR_OAUTH_RESPONSE') return false
  return error.error === 'invalid_client'
}

async function send(
  request: TokenRequest,
  onReplaceable?: (replace: ReplaceKey) => void,
  retried: readonly string[] = [],
): Promise<TokenResponse> {
  const { as, issuer, clientId, authentication, signal } = request
  const endpoint = requireTokenEndpoint(as)
  const { method, alg } = authentication
  // Before the parameters are made, because a grant may be signed as well.
  if (method !== undefined) requireAdvertised(as, method, alg)
  const dpop = request.dpop && acceptsProofs(as, request.dpop) ? request.dpop : undefined
  const jkt = dpop?.jktInAssertion === true ? await dpop.session.jkt() : undefined
  const parameters = await request.parameters()
  const client = { client_id: clientId }
  let secrets: readonly string[] | undefined
  let readChallenge: ((response: Response) => boolean) | undefined
  const onResponse = (read: (response: Response) => boolean) => {
    readChallenge = read
  }
  const response = await genericTokenEndpointRequest(
    as,
    client,
    async (server, self, body, headers) => {
      const { session } = dpop ?? {}
      const options = { issuer, signal, onReplaceable, onResponse, jkt, session }
      await authentication(server, self, body, headers, options)
      const proof = await dpop?.session.buildProof({ htm: 'POST', htu: endpoint, signal })
      if (proof !== undefined) headers.set('dpop', proof)
      secrets = secretsIn(body, headers)
    },
    parameters.get('grant_type') ?? '',
    parameters,
    {
      signal,
      [customFetch]: boundedFetch(request.fetch, 'ERR_OAUTH_INVALID_RESPONSE'),
      [allowInsecureRequests]: endpoint.protocol === 'http:',
    },
  ).catch((error) => {
    // An error of the authentication is passed on.
    if (secrets === undefined) throw error
    throw describeFetchError(error, signal, `token endpoint ${originOf(endpoint)}`, secrets)
  })
  const mayRetry = {
    use_dpop_nonce: dpop?.session.observeNonce(response, endpoint),
    use_attestation_challenge: readChallenge?.(response),
  }
  if (response.status === 200)
    return readToken(response, as, client, { dpop, tokenType: request.tokenType })
  const refusal = await describeRefusal(response, as, secrets ?? [], request.now())
  const reason = Object.entries(mayRetry).find(([error]) => error === refusal.error)
  if (reason?.[1] !== true || retried.includes(reason[0])) throw refusal
  return send(request, onReplaceable, [...retried, reason[0]])
}

async function readToken(
  response: Response,
  as: AuthorizationServer,
  client: { readonly client_id: string },
  { dpop, tokenType }: { readonly dpop: Dpop | undefined; readonly tokenType: 'n_a' | undefined },
): Promise<TokenResponse> {
  let token: TokenResponse
  try {
    token = await processGenericTokenEndpointResponse(as, client, response, {
      recognizedTokenTypes: tokenType === undefined ? {} : { [tokenType]: () => {} },
    })
  } catch (error) {
    // The library's error is not the cause of this one, because it holds the response, perhaps with a token.
    const why = error instanceof Error ? error.message : 'it cannot be read'
    throw new OAuthError(
      'ERR_OAUTH_INVALID_RESPONSE',
      `The response of ${sanitize(as.issuer)} is not a token response: ${sanitize(why)}`,
      { status: response.status },
    )
  }
  if (tokenType === undefined) requireTokenType(as.issuer, token.token_type, dpop)
  // A header cannot carry other characters, and the error of the platform would show the whole token.
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
  secrets: readonly string[],
  now: number,
): Promise<OAuthError> {
  const { status } = response
  const body: unknown = await response.json().catch(() => undefined)
  const { error: code, error_description: text } = (body ?? {}) as {
    readonly error?: unknown
    readonly error_description?: unknown
  }
  const error = typeof code === 'string' ? sanitize(code, secrets) : undefined
  const error_description = typeof text === 'string' ? sanitize(text, secrets) : undefined
  const said = [error ?? `HTTP status ${status}`, error_description].filter(Boolean).join(': ')
  if (isTransient(status) || error === 'temporarily_unavailable') {
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
    `The token endpoint ${sanitize(pathname)} of ${sanitize(as.issuer)} answered with HTTP status ${status} and without an OAuth error; check the token endpoint`,
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

const proofHeaders = ['dpop', 'oauth-client-attestation', 'oauth-client-attestation-pop']

/** The secrets of a request in each form that a server may repeat in an error: as they were sent, encoded and decoded. */
function secretsIn(body: URLSearchParams, headers: Headers): string[] {
  const secrets = [...body].flatMap(([name, value]) => (publicParameters.has(name) ? [] : [value]))
  const [scheme = '', credentials = ''] = headers.get('authorization')?.split(' ') ?? []
  secrets.push(credentials)
  for (const name of proofHeaders) secrets.push(headers.get(name) ?? '')
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
