import type { Signer } from '@countersign/core'
import {
  type AuthorizationServer,
  type ClientAuthentication,
  type DpopSession,
  type Fetch,
  OAuthError,
  type PrivateKeyJwtOptions,
  type TokenResponse,
  type TokenSource,
  tokenSource,
} from '@countersign/oauth'
import { type TokenChallenge, tokenChallenge, tokenSchemes } from '@countersign/oauth/internal'
import { pinnedAuthentication } from '../authentication.ts'
import { registerSecret } from '../output.ts'
import type { AssertionSettings, Examination, Target } from './step.ts'

/** What a token request needs. */
export interface TokenInputs {
  readonly context: Examination
  readonly observed: ObservedFetch
  readonly signer: Signer
  /** Binds the token to its key. */
  readonly session: DpopSession | undefined
  readonly as: AuthorizationServer
  readonly target: Target
}

/** How an assertion differs from the one that the options ask for. */
export type Change = AssertionSettings & Pick<PrivateKeyJwtOptions, 'now'>

/** A token, and its source. */
export interface Granted {
  readonly source: TokenSource
  readonly response: TokenResponse
}

/** A token, or the error of the request. */
export type Outcome = Granted | { readonly error: unknown }

/** Makes the client authentication. The issuer is pinned only when the caller gave it. */
export function authenticationOf(
  { context, signer }: Pick<TokenInputs, 'context' | 'signer'>,
  change: Change = {},
): ClientAuthentication {
  const { assertion, now, issuer } = context
  return pinnedAuthentication(signer, { ...assertion, now, ...change, issuer })
}

/** Sends one token request, with the library's token source. */
export async function requestToken(inputs: TokenInputs, change: Change = {}): Promise<Outcome> {
  const { context, observed, session, as, target } = inputs
  const { within, clientId, now, timeoutSeconds } = context
  try {
    const source = tokenSource({
      issuer: as.issuer,
      clientId,
      authentication: authenticationOf(inputs, change),
      scope: target.scope,
      maxScope: context.maxScope,
      resource: target.resource,
      metadata: as,
      dpop: session && { session },
      retries: 0,
      timeoutSeconds,
      fetch: observed.fetch,
      now,
    })
    const response = await within((signal) => source.tokenResponse({ signal }))
    registerSecret(response.access_token)
    return { source, response }
  } catch (error) {
    context.signal?.throwIfAborted()
    return { error }
  }
}

/** Whether the client was authenticated, even if the request was then refused for another reason. */
export function isAuthenticated(outcome: Outcome): boolean {
  if (!('error' in outcome)) return true
  const { error } = outcome
  return OAuthError.is(error) && error.code === 'ERR_OAUTH_RESPONSE' && !isUnauthenticated(error)
}

/** Whether the server refused the client or the form of the request, before it looked at what is requested. */
export function isUnauthenticated(error: unknown): error is OAuthError {
  return (
    OAuthError.is(error) &&
    error.code === 'ERR_OAUTH_RESPONSE' &&
    (error.error === 'invalid_client' || error.error === 'invalid_request')
  )
}

/** The last response of a server. */
export interface Answer {
  readonly status: number
  readonly challenge: TokenChallenge | undefined
}

/** A `fetch` that records the last response of each server, and nothing of the requests. */
export interface ObservedFetch {
  readonly fetch: Fetch
  /** The last response to a POST to a URL, without regard to its query. */
  answerOf(url: string | URL): Answer | undefined
  /** Deletes that response, so that it is not taken for the next one. */
  forgetAnswer(url: string | URL): void
  /** The clock of a URL's origin, from its last response with a date. */
  clockOf(url: string | URL): ClockReading | undefined
}

/** @param session - makes the proofs; decides which challenges are read first. */
export function observeFetch(
  fetch: Fetch,
  now: () => number,
  session: DpopSession | undefined,
): ObservedFetch {
  const schemes = tokenSchemes(session)
  const answers = new Map<string, Answer>()
  const clocks = new Map<string, ClockReading>()
  return {
    async fetch(input, init) {
      const sent = now()
      const response = await fetch(input, init)
      const url = new URL(input instanceof Request ? input.url : input)
      const clock = readClock(response, sent, now())
      if (clock !== undefined) clocks.set(url.origin, clock)
      // An MCP client also sends a GET for a stream, which a server may refuse.
      if (init?.method === 'POST') {
        const challenge = await tokenChallenge(response, schemes)
        answers.set(withoutQuery(url), { status: response.status, challenge })
      }
      return response
    },
    answerOf: (url) => answers.get(withoutQuery(url)),
    forgetAnswer: (url) => void answers.delete(withoutQuery(url)),
    clockOf: (url) => clocks.get(new URL(url).origin),
  }
}

function withoutQuery(url: string | URL): string {
  const { origin, pathname } = new URL(url)
  return origin + pathname
}

/** The difference between a server's clock and this one. */
export interface ClockReading {
  /** How far the server's clock is ahead; negative when it is behind. */
  readonly aheadSeconds: number
  /** The possible error: `Date` has whole seconds, and the response takes time. */
  readonly toleranceSeconds: number
}

/** Reads a server's clock from the `Date` of a response, RFC 9110 §6.6.1. */
export function readClock(
  response: Response,
  sentAt: number,
  receivedAt: number,
): ClockReading | undefined {
  const date = Date.parse(response.headers.get('date') ?? '')
  // The date of a cached response is that of the original.
  if (Number.isNaN(date) || response.headers.has('age')) return undefined
  const aheadSeconds = (date + 500 - (sentAt + receivedAt) / 2) / 1000
  return { aheadSeconds, toleranceSeconds: 0.5 + (receivedAt - sentAt) / 2000 }
}

/** The difference from which a warning is given; some authorization servers refuse more than 15 s. */
export const tolerableSeconds = 10

/** Whether the clocks differ by more than the possible error, and by more than some seconds. */
export function differs({ aheadSeconds, toleranceSeconds }: ClockReading, seconds = 0): boolean {
  return Math.abs(aheadSeconds) > toleranceSeconds + seconds
}

/** Describes the difference. */
export function describeClock(reading: ClockReading, whose: string): string {
  const { aheadSeconds, toleranceSeconds } = reading
  if (!differs(reading)) return `this clock and that of ${whose} agree`
  const seconds = Math.abs(aheadSeconds)
  const difference = seconds < 120 ? `${seconds.toFixed(1)} s` : `${(seconds / 60).toFixed(1)} min`
  const where = aheadSeconds > 0 ? 'behind' : 'ahead of'
  return `this clock is ${difference} ${where} that of ${whose} (±${toleranceSeconds.toFixed(1)} s)`
}
