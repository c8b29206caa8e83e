import type { ClientAuthentication, Fetch } from '@countersign/oauth'
import { providerAuthentication } from './authentication.ts'

/** Options of {@link clientCredentialsProvider}. */
export interface ClientCredentialsProviderOptions {
  /** The client identifier. */
  readonly clientId: string
  /** How the client proves who it is: `privateKeyJwt`, `externalAssertion`, or a client secret. */
  readonly authentication: ClientAuthentication
  /**
   * Pins the authorization server. Without it, the MCP server decides which authorization server gets the secret, or an
   * assertion, whose audience is then that server and no other.
   */
  readonly issuer?: string | undefined
  /** Space-separated scope values to ask for; by default what the resource asks for. */
  readonly scope?: string | undefined
  /**
   * Space-separated scope values that the resource may ask for beside `scope`, in its challenges and in its metadata; all
   * by default. A resource that asks for more than 100 values or 4,096 octets gets none of them.
   */
  readonly maxScope?: string | undefined
  /** A name for people, as `client_name` of the client's metadata. */
  readonly clientName?: string | undefined
  /** How long the metadata of the authorization server is used before it is fetched again; 3600 by default. */
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
  readonly maxScope: string | undefined
  readonly metadataLifetimeSeconds: number
  readonly timeoutSeconds: number
  readonly fetch: Fetch
  readonly now: () => number
}

/** Refuses options that are not of their type, and adds the defaults. */
export function readOptions(options: ClientCredentialsProviderOptions): Settings {
  const { clientId, authentication, issuer, scope, maxScope } = options
  const { metadataLifetimeSeconds = 3600, timeoutSeconds = 30, now = Date.now } = options
  if (typeof clientId !== 'string' || clientId === '') {
    throw new TypeError('"clientId" must be a non-empty string')
  }
  if (issuer !== undefined && !(typeof issuer === 'string' && URL.canParse(issuer))) {
    throw new TypeError('"issuer" must be the URL that identifies the authorization server')
  }
  for (const [name, value] of Object.entries({ scope, maxScope })) {
    if (value !== undefined && typeof value !== 'string') {
      throw new TypeError(`"${name}" must be a string of values separated by spaces`)
    }
  }
  if (!(typeof metadataLifetimeSeconds === 'number' && metadataLifetimeSeconds > 0)) {
    throw new TypeError('"metadataLifetimeSeconds" must be a number above 0')
  }
  if (!(typeof timeoutSeconds === 'number' && timeoutSeconds > 0 && timeoutSeconds <= 600)) {
    throw new TypeError('"timeoutSeconds" must be a number above 0 and up to 600')
  }
  return {
    ...options,
    authentication: providerAuthentication(authentication, issuer, now),
    issuer,
    scope,
    maxScope,
    metadataLifetimeSeconds,
    timeoutSeconds,
    fetch: options.fetch ?? globalThis.fetch,
    now,
  }
}
