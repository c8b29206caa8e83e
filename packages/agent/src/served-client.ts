import { clientAssertion, type RotatingSigner } from '@countersign/core'
import {
  type DpopSession,
  discoverAuthorizationServer,
  dpopSession,
  type Fetch,
} from '@countersign/oauth'
import { requireSecureUrl, sameIssuer } from '@countersign/oauth/internal'
import { type Audit, auditedSource } from './audit.ts'
import type { AgentAssertion, AgentHeaders, AgentProof, AgentToken } from './client.ts'
import type { ClientConfiguration } from './configuration.ts'
import type { KeyLease, KeyPool } from './key-pool.ts'
import { malformed, notAllowed } from './problem.ts'
import { chooseResource, keyIdOf, resourceOf, tokenSources } from './token-sources.ts'

/** What a request for a token asks for. */
export interface TokenRequest {
  readonly resource?: string | undefined
  readonly scope?: string | undefined
  readonly refused_token?: string | undefined
}

/** What a request for headers asks for. */
export interface HeadersRequest extends Omit<TokenRequest, 'resource'> {
  readonly url: string
  /** The method and the nonce of the proof, for a client whose tokens are bound to a key. */
  readonly method?: string | undefined
  readonly nonce?: string | undefined
}

/** What a request for a DPoP proof says. */
export interface ProofRequest {
  readonly htm: string
  readonly htu: string
  readonly access_token: string
  readonly nonce?: string | undefined
}

/** A client of the configuration, with its key and its cached tokens. */
export interface ServedClient {
  readonly name: string
  readonly configuration: ClientConfiguration
  readonly source: RotatingSigner
  assertion(audience: string | undefined, signal: AbortSignal): Promise<AgentAssertion>
  token(request: TokenRequest, signal: AbortSignal): Promise<AgentToken>
  headers(request: HeadersRequest, signal: AbortSignal): Promise<AgentHeaders>
  /** Makes a DPoP proof for one request to a configured resource. */
  proof(request: ProofRequest, signal: AbortSignal): Promise<AgentProof>
  /** The key that tokens are bound to, if they are. */
  readonly dpop: DpopSession | undefined
  /** Runs an action; the key stays open until it has ended. */
  use<T>(action: (client: ServedClient) => Promise<T>): Promise<T>
  /** Releases the key after the last use. */
  retire(): Promise<void>
}

/** What the clients of an agent share. */
export interface ClientSurroundings {
  readonly keys: KeyPool
  readonly audit: Audit
  /** Is told whether a token came from the cache. */
  readonly onToken: (client: string, cached: boolean) => void
  readonly fetch: Fetch
  readonly now: () => number
}

/** The registered name of a JWT as `client_assertion_type`, RFC 7523 §2.2. */
const jwtBearer = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** Opens the key of a client. */
export async function serveClient(
  name: string,
  configuration: ClientConfiguration,
  surroundings: ClientSurroundings,
): Promise<ServedClient> {
  const { key, clientId, issuer, lifetimeSeconds = 60, typ } = configuration
  const { audit, now } = surroundings
  const lease = await surroundings.keys.lease(key, configuration.keyMaxAgeSeconds)
  const source = auditedSource(lease.source, name, audit)
  const kid = keyIdOf(configuration.kid)
  const audienceFor = audienceRule(configuration, surroundings)
  const dpop = configuration.dpop ? dpopSession(undefined, { now }) : undefined
  const tokens = tokenSources(configuration, { signer: source, dpop, ...surroundings })
  const uses = usesOf(lease)

  async function token({ resource, scope, refused_token }: TokenRequest, signal: AbortSignal) {
    const about = { client: name, event: 'token', audience: resource ?? issuer } as const
    const entry = tokens.get(resource, scope)
    entry.refuse(refused_token)
    try {
      const response = await entry.source.tokenResponse({ signal })
      audit.record({ ...about, outcome: 'ok' })
      surroundings.onToken(name, entry.isKnown(response.access_token))
      return response
    } catch (error) {
      const { code } = error as { readonly code?: string }
      if (code !== 'ERR_AGENT_AUDIT') audit.record({ ...about, outcome: 'failed', code })
      throw error
    }
  }

  async function proof({ htm, htu, access_token: accessToken, nonce }: ProofRequest) {
    const session = requireDpop(dpop)
    const resource = resourceOf(configuration, htu)
    // As if the agent itself had got the response that the caller has the nonce from.
    const headers = nonce === undefined ? {} : { 'dpop-nonce': nonce }
    session.observeNonce(new Response(null, { headers }), htu)
    const dpop_proof = await session.buildProof({ htm, htu, accessToken })
    audit.record({ client: name, event: 'proof', audience: resource, outcome: 'ok' })
    return { dpop_proof }
  }

  const client: ServedClient = Object.freeze<ServedClient>({
    name,
    configuration,
    source,
    dpop,
    proof,
    async assertion(asked, signal) {
      const audience = await audienceFor(asked, signal)
      const options = { clientId, audience, lifetimeSeconds, typ, kid, now, signal }
      return {
        client_id: clientId,
        client_assertion: await clientAssertion(source, options),
        client_assertion_type: jwtBearer,
        expires_in: lifetimeSeconds,
      }
    },
    async token(request, signal) {
      const resource = chooseResource(configuration, request.resource)
      const { access_token, token_type, expires_in, scope } = await token(
        { ...request, resource },
        signal,
      )
      return {
        ...{ access_token, token_type: capitalised(token_type) },
        ...(expires_in === undefined ? {} : { expires_in }),
        ...(scope === undefined ? {} : { scope }),
        ...(resource === undefined ? {} : { resource }),
      }
    },
    async headers({ url, method: htm, nonce, ...request }, signal) {
      const resource = resourceOf(configuration, url)
      if (dpop !== undefined && htm === undefined) throw malformed(needsMethod)
      const { access_token, token_type, expires_in } = await token({ ...request, resource }, signal)
      const bound =
        dpop !== undefined && htm !== undefined
          ? { DPoP: (await proof({ htm, htu: url, access_token, nonce })).dpop_proof }
          : {}
      return {
        headers: { Authorization: `${capitalised(token_type)} ${access_token}`, ...bound },
        ...(expires_in === undefined ? {} : { expires_in }),
        resource,
      }
    },
    use: (action) => uses.run(() => action(client)),
    retire: uses.end,
  })
  return client
}

/** Counts uses, and releases the key after the last one. */
function usesOf(lease: KeyLease) {
  let count = 0
  let release: (() => void) | undefined
  return {
    async run<T>(action: () => Promise<T>): Promise<T> {
      count++
      try {
        return await action()
      } finally {
        count--
        if (count === 0) release?.()
      }
    },
    end: (): Promise<void> =>
      new Promise((resolve, reject) => {
        release = () => void lease.release().then(resolve, reject)
        if (count === 0) release()
      }),
  }
}

/** `token_type` is case-insensitive, and some resources compare it with the name as it is registered. */
const capitalised = (type: string): string =>
  ['Bearer', 'DPoP'].find((name) => name.toLowerCase() === type.toLowerCase()) ?? type

const needsMethod =
  'The tokens of this client are bound to a key, and a proof is for one request; add "method", its HTTP method'

function requireDpop(session: DpopSession | undefined): DpopSession {
  if (session !== undefined) return session
  throw notAllowed(
    'The tokens of this client are not bound to a key; set "dpop": true in its configuration, or send the token without a proof',
  )
}

const metadataLifetimeMs = 3_600_000

/**
 * Makes the function that chooses the `aud` of an assertion. A request may name the issuer, for which the configured
 * rule applies, or a further configured audience.
 */
function audienceRule(
  { issuer, audience: rule = 'issuer', audiences = [] }: ClientConfiguration,
  { fetch, now }: ClientSurroundings,
): (asked: string | undefined, signal: AbortSignal) => Promise<string> {
  let discovered: { readonly endpoint: string; readonly at: number } | undefined

  async function tokenEndpoint(signal: AbortSignal): Promise<string> {
    if (discovered !== undefined && now() - discovered.at < metadataLifetimeMs) {
      return discovered.endpoint
    }
    const { token_endpoint: endpoint } = await discoverAuthorizationServer(issuer, {
      fetch,
      signal,
    })
    const { href } = requireSecureUrl(endpoint, 'token endpoint', { namedBy: issuer })
    discovered = { endpoint: endpoint ?? href, at: now() }
    return discovered.endpoint
  }

  return async (asked, signal) => {
    if (asked !== undefined && audiences.includes(asked)) return asked
    const isIssuer = asked === undefined || sameIssuer(asked, issuer)
    if (rule === 'issuer') {
      if (isIssuer) return issuer
    } else if (rule === 'token_endpoint') {
      const endpoint = await tokenEndpoint(signal)
      if (isIssuer || asked === endpoint) return endpoint
    } else if (isIssuer || asked === rule) return rule
    throw notAllowed(
      'The configuration of this client has no such audience; name the issuer, or add the audience to "audiences"',
    )
  }
}
