import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import {
  clientSecretBasic,
  privateKeyJwt,
  type TokenMessage,
  type TokenSource,
  type TokenSourceOptions,
  tokenSource,
} from '@countersign/oauth'
import { onTestFinished } from 'vitest'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import {
  type Script,
  type ScriptedServer,
  startScriptedServer,
} from '../servers/scripted-server.js'
import { tokenResponse } from '../servers/token-responses.js'
import { type Clock, closing, es256Signer, startClock, until } from './fixtures.ts'

/** Grants `token-1`, `token-2` and so on, with these members in the token response. */
export function numberedTokens(members: Record<string, unknown> = {}): Script {
  let issued = 0
  return () => {
    issued += 1
    return tokenResponse({ access_token: `token-${issued}`, ...members })
  }
}

/** A token source and its authorization server. */
export interface TokenSourceFixture {
  readonly source: TokenSource
  readonly as: ScriptedServer
  readonly clock: Clock
  /** Returns the bodies of the token requests. */
  tokenRequests(): URLSearchParams[]
}

/** @param token - answers the token requests. */
export async function startTokenSource(
  token: Script = numberedTokens(),
  options: Partial<TokenSourceOptions> = {},
): Promise<TokenSourceFixture> {
  const as = closing(await startScriptedAuthorizationServer({ token }))
  const clock = startClock()
  const source = tokenSource({
    issuer: as.url,
    clientId: 'agent',
    authentication: options.authentication ?? privateKeyJwt(await es256Signer()),
    now: clock.now,
    ...options,
  })
  const tokenRequests = () =>
    as.requests.filter(({ path }) => path === '/token').map(({ form }) => form)
  return { source, as, clock, tokenRequests }
}

/** A token source whose renewals in the background can be waited for. */
export interface ObservedTokenSourceFixture extends TokenSourceFixture {
  /** Calls `token()`, and waits for the end of the renewal that the call starts, if it starts one. */
  getToken(): Promise<{ token: string; renewal: TokenMessage | undefined }>
}

export async function startObservedTokenSource(
  token?: Script,
  options: Partial<TokenSourceOptions> = {},
): Promise<ObservedTokenSourceFixture> {
  let started = 0
  const authentication = clientSecretBasic(() => {
    started += 1
    return 'secret'
  })
  const fixture = await startTokenSource(token, { authentication, ...options })
  const ended: TokenMessage[] = []
  const listener = (message: unknown) => {
    const renewal = message as TokenMessage
    if (renewal.issuer === fixture.as.url) ended.push(renewal)
  }
  subscribe('countersign:token', listener)
  onTestFinished(() => void unsubscribe('countersign:token', listener))
  return {
    ...fixture,
    async getToken() {
      const before = { started, ended: ended.length }
      const token = await fixture.source.token()
      // A renewal reads the secret before it waits for any I/O.
      await new Promise(setImmediate)
      if (started > before.started) await until(() => ended.length > before.ended)
      return { token, renewal: ended[before.ended] }
    },
  }
}

/** A token source and the protected resource that its tokens are for. */
export interface ResourceFixture extends TokenSourceFixture {
  /** The resource's server. */
  readonly api: ScriptedServer
  /** The URL of the resource, at a path of the server. */
  readonly resource: string
  /** Returns the token of each request to the server, `undefined` for a request without one. */
  bearers(): (string | undefined)[]
}

export interface ResourceFixtureOptions extends Partial<TokenSourceOptions> {
  /** Answers the requests to the resource's server; accepts every token by default. */
  readonly answer?: Script
  /** Answers the token requests. */
  readonly token?: Script
}

export async function startResource(
  options: ResourceFixtureOptions = {},
): Promise<ResourceFixture> {
  const { answer = () => new Response('welcome'), token = numberedTokens(), ...rest } = options
  const api = closing(await startScriptedServer(answer))
  const resource = `${api.url}/mcp`
  const fixture = await startTokenSource(token, { resource, ...rest })
  const bearers = () => api.requests.map(({ headers }) => bearerOf(headers))
  return { ...fixture, api, resource, bearers }
}

export function bearerOf(headers: {
  readonly authorization?: string | undefined
}): string | undefined {
  return headers.authorization?.replace(/^Bearer /, '')
}

/** Accepts these tokens, and answers any other with a challenge. */
export function accepting(...tokens: readonly string[]): Script {
  return ({ headers }) =>
    tokens.includes(bearerOf(headers) ?? '')
      ? new Response('welcome')
      : new Response('no', { status: 401, headers: { 'www-authenticate': 'Bearer' } })
}

/** The claims of the assertion in a token request. */
export function claimsOf(form: URLSearchParams | undefined): Record<string, unknown> {
  const payload = form?.get('client_assertion')?.split('.')[1] ?? ''
  return JSON.parse(Buffer.from(payload, 'base64url').toString())
}
