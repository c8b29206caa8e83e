import type { ClientAuthentication, Fetch } from '@countersign/oauth'
import { requireAuthentication } from './require-authentication.ts'

/** Options of {@link clientCredentialsProvider}. */
export interface ClientCredentialsProviderOptions {
  /** The client identifier. */
  readonly clientId: string
  /** How the client proves who it is: `privateKeyJwt`, `externalAssertion`, or a client secret. */
  readonly authentication: ClientAuthentication
  /**
   * Pins the authorization server. Without it, the MCP server decides which authorization server gets to see
   * an assertion for that server, or the secret.
   */
  readonly issuer?: string | undefined
  /** Space-separated scope values to ask for; by default what the resource asks for. */
  readonly scope?: string | undefined
  /** A name for people, as `client_name` of the client's metadata. */
  readonly clientName?: string | undefined
  /** How long what was discovered is kept; 3600 by default. */
  readonly metadataLifetimeSeconds?: number | undefined
  /** Bound on one renewal of the token; 30 by default. */
  readonly timeoutSeconds?: number | undefined
  /** Sends the requests; the global `fetch` by default. */
  readonly fetch?: Fetch | undefined
  /** The clock, in milliseconds since the epoch; `Date.now` by default. */
  readonly now?: (() => number) | undefined
}

/** Options with their defaults. */
export interface Settings extends ClientCredentialsProviderOptions {
  readonly issuer: string | undefined
  readonly scope: string | undefined
  readonly metadataLifetimeSeconds: number
  readonly timeoutSeconds: number
  readonly fetch: Fetch
  readonly now: () => number
}

/** Refuses options that are not of their type, and adds the defaults. */
export function readOptions(options: ClientCredentialsProviderOptions): Settings {
  const { clientId, authentication, issuer, scope } = options
  const { metadataLifetimeSeconds = 3600, timeoutSeconds = 30 } = options
  if (typeof clientId !== 'string' || clientId === '') {
    throw new TypeError('"clientId" must be a non-empty string')
  }
  requireAuthentication(authentication)
  if (issuer !== undefined && !(typeof issuer === 'string' && URL.canParse(issuer))) {
    throw new TypeError('"issuer" must be the URL that identifies the authorization server')
  }
  if (scope !== undefined && typeof scope !== 'string') {
    throw new TypeError('"scope" must be a string of values separated by spaces')
  }
  if (!(typeof metadataLifetimeSeconds === 'number' && metadataLifetimeSeconds > 0)) {
    throw new TypeError('"metadataLifetimeSeconds" must be a number above 0')
  }
  if (!(typeof timeoutSeconds === 'number' && timeoutSeconds > 0 && timeoutSeconds <= 600)) {
    throw new TypeError('"timeoutSeconds" must be a number above 0 and up to 600')
  }
  return {
    ...options,
    issuer,
    scope,
    metadataLifetimeSeconds,
    timeoutSeconds,
    fetch: options.fetch ?? globalThis.fetch,
    now: options.now ?? Date.now,
  }
}
