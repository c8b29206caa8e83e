import { randomUUID } from 'node:crypto'
import { type Signer, type SignerSource, signJwt, thumbprint } from '@countersign/core'
import {
  ownOptions,
  requiredMembers,
  requireString,
  sanitizeValue,
  unlessAborted,
} from '@countersign/core/backend'
import type { AuthorizationServer } from 'oauth4webapi'
import {
  type CheckedRequest,
  type ClientAuthentication,
  clientAuthentication,
} from './client-authentication.ts'
import { type DpopSession, dpopSession, ephemeralSigner } from './dpop.ts'
import { OAuthError } from './errors.ts'
import { isCompactJwt, jwtClaims, jwtHeader } from './jwt.ts'
import { requireAlgorithm } from './server-checks.ts'

/** A public key, RFC 7517. */
export type InstanceJwk = Readonly<Record<string, unknown>>

/** What an attestation is about. */
export interface AttestationRequest {
  readonly clientId: string
  /** The public key of the instance, which the attestation names as `cnf.jwk`. */
  readonly jwk: InstanceJwk
  /** Stops waiting; the promise then rejects with `signal.reason`. */
  readonly signal?: AbortSignal | undefined
}

/** Options of {@link experimentalSignAttestation}. */
export interface AttestationOptions extends AttestationRequest {
  /** How long the attestation is valid; 3600 by default, 86400 at most. */
  readonly lifetimeSeconds?: number | undefined
  /** Identifies the attester as `iss`, for authorization servers that need it; left out by default. */
  readonly issuer?: string | undefined
  /** The clock, in milliseconds since the epoch; `Date.now` by default. */
  readonly now?: (() => number) | undefined
}

/**
 * Signs an attestation: that the key of an instance belongs to a client. Experimental: the specification is a draft.
 *
 * A service that has the key of the attester calls it for instances that it has identified, by their workload identity
 * for example. Anyone who has an attestation and the key of its instance can act as the client until the attestation
 * expires.
 *
 * @param source - the key of the attester.
 * @param options - the client, and the public key of the instance.
 * @returns a signed JWT in compact serialization. It throws a `SignerError` when the signer cannot sign.
 * @throws `TypeError` when an option is not of its type, or the key has private members.
 *
 * @example
 * ```ts
 * import type { Signer } from '@countersign/core'
 * import { experimentalSignAttestation } from '@countersign/oauth'
 *
 * declare const signer: Signer
 * declare const jwk: Record<string, unknown>
 *
 * const attestation = await experimentalSignAttestation(signer, { clientId: 'billing-agent', jwk })
 * ```
 *
 * @see [Attestation-based client authentication, draft-12](https://datatracker.ietf.org/doc/draft-ietf-oauth-attestation-based-client-auth/)
 */
export async function experimentalSignAttestation(
  source: SignerSource,
  options: AttestationOptions,
): Promise<string> {
  const { clientId, jwk, lifetimeSeconds, issuer, now = Date.now, signal } = ownOptions(options)
  requireString(clientId, 'clientId')
  const cnf = { jwk: publicMembers(jwk) }
  const iat = Math.floor(now() / 1000)
  const exp = iat + requireLifetime(lifetimeSeconds)
  const claims = { iss: issuer, sub: clientId, iat, exp, cnf }
  return signJwt(source, claims, { typ: attestationType, signal })
}

/** Who signs attestations: a signer of this process, or a service that a function asks. */
export type Attester = SignerSource | ((request: AttestationRequest) => Promise<string>)

/** Options of {@link experimentalAttestedInstance}. */
export interface AttestedInstanceOptions {
  /**
   * Proves the possession of the key by the DPoP proof of the token request, in place of a proof of its own. The token
   * source or provider then needs `dpop: { session: instance.session }`. `false` by default.
   */
  readonly dpop?: boolean | undefined
  /** Pins the authorization server: metadata of another issuer is refused before anything is signed. */
  readonly issuer?: string | undefined
  /** How long an attestation is valid that the signer signs; 3600 by default, 86400 at most. */
  readonly lifetimeSeconds?: number | undefined
  /** Identifies the attester as `iss` of an attestation that the signer signs; left out by default. */
  readonly attester?: string | undefined
  /** The clock, in milliseconds since the epoch; `Date.now` by default. */
  readonly now?: (() => number) | undefined
}

/** The client authentication of an instance, with the key of the instance. */
export interface AttestedInstance extends ClientAuthentication {
  /** A DPoP session with the key of the instance, for tokens that are bound to it. */
  readonly session: DpopSession
}

/**
 * Authenticates one instance of a client by a key in memory, and an attestation that this key belongs to the client.
 * Experimental: the specification is a draft.
 *
 * The key of the client, in a KMS, signs one attestation for the life of the instance or until it expires. Token requests
 * do not use it: each has a proof that the key in memory signs, for this authorization server alone. An attestation
 * that is about to expire is renewed once for all token requests. The server may ask for a challenge in the proof, which
 * costs a second request; `tokenSource` and the providers' `fetch` send it.
 *
 * @param attester - the signer of attestations, or a function that gets one from a service that has the signer. The
 *   function gets client ID and public key, and returns a signed JWT in compact serialization.
 * @param options - how possession is proved, the lifetime of attestations, and a pinned issuer.
 * @returns a client authentication for {@link tokenSource} and the providers of `@countersign/mcp`. It throws an
 *   {@link OAuthError} when the server is refused, or when the function returns an attestation for another client or key
 *   (`ERR_OAUTH_ASSERTION`), and a `SignerError` when the signer cannot sign.
 * @throws `TypeError` when an option is not of its type.
 *
 * @example
 * ```ts
 * import type { Signer } from '@countersign/core'
 * import { experimentalAttestedInstance, tokenSource } from '@countersign/oauth'
 *
 * declare const signer: Signer
 *
 * const instance = experimentalAttestedInstance(signer, { dpop: true })
 * const source = tokenSource({
 *   issuer: 'https://as.example.com',
 *   clientId: 'billing-agent',
 *   authentication: instance,
 *   dpop: { session: instance.session },
 * })
 * ```
 *
 * @see [Attestation-based client authentication, draft-12](https://datatracker.ietf.org/doc/draft-ietf-oauth-attestation-based-client-auth/)
 */
export function experimentalAttestedInstance(
  attester: Attester,
  options: AttestedInstanceOptions = {},
): AttestedInstance {
  const own = ownOptions(options)
  const { dpop = false, issuer, lifetimeSeconds, attester: iss, now = Date.now } = own
  if (typeof dpop !== 'boolean') throw new TypeError('"dpop" must be a boolean')
  requireLifetime(lifetimeSeconds)
  const key = ephemeralSigner()
  const session = dpopSession(key, { now })
  const jwk = publicMembers({ ...key.publicJwk })
  const attestations = attestationCache(requireAttester(attester), {
    ...{ jwk, lifetimeSeconds, issuer: iss, now },
  })
  /** The last challenge of each server. */
  const challenges = new Map<string, string>()

  const authentication = clientAuthentication(
    dpop ? 'attest_jwt_client_auth_dpop' : 'attest_jwt_client_auth',
    async (request) => {
      const { as, client, headers, signal, session: used } = request
      requireAlgorithms(as, key.alg, attester)
      if (dpop && used !== session) throw new TypeError(needsSession)
      const { attestation, discard } = await attestations.get(client.client_id, request)
      headers.set('oauth-client-attestation', attestation)
      request.onReplaceable?.(discard)
      if (dpop) return
      const claims = {
        aud: as.issuer,
        jti: randomUUID(),
        iat: Math.floor(now() / 1000),
        challenge: challenges.get(as.issuer),
      }
      const proof = { typ: proofType, kid: null, signal }
      headers.set('oauth-client-attestation-pop', await signJwt(key, claims, proof))
      request.onResponse?.((response) => observeChallenge(response, as.issuer))
    },
    { issuer },
  )

  function observeChallenge(response: Response, from: string): boolean {
    const challenge = response.headers.get('oauth-client-attestation-challenge')
    if (challenge === null || !/^[\x21-\x7e]{1,1024}$/.test(challenge)) return false
    if (challenges.size >= mostServers && !challenges.has(from)) challenges.clear()
    challenges.set(from, challenge)
    return true
  }

  return Object.freeze(
    Object.assign(authentication.bind(undefined), { method: authentication.method, session }),
  )
}

const attestationType = 'oauth-client-attestation+jwt'
const proofType = 'oauth-client-attestation-pop+jwt'
const mostServers = 100

const needsSession =
  'the proof of possession is the DPoP proof, so set dpop: { session: instance.session } of the token source or provider'

function requireAttester(attester: Attester): Attester {
  const { sign, use } = (attester ?? {}) as { readonly sign?: unknown; readonly use?: unknown }
  if ([attester, sign, use].some((one) => typeof one === 'function')) return attester
  throw new TypeError('the first argument must be a signer or a function')
}

/** Refuses an attestation of a service that is not for this client and this key. */
function requireOwn(attestation: unknown, { clientId, jwk }: AttestationRequest): string {
  const refuse = (why: string) =>
    new OAuthError(
      'ERR_OAUTH_ASSERTION',
      `The attestation ${why}; nothing was sent. Fix the function that returns it`,
    )
  if (!isCompactJwt(attestation)) throw refuse('is not a signed JWT in compact serialization')
  const { sub, exp, cnf } = jwtClaims(attestation)
  if (jwtHeader(attestation)['typ'] !== attestationType) {
    throw refuse(`is not of the type ${attestationType}`)
  }
  if (sub !== clientId) throw refuse(`is for the client ${sanitizeValue(sub)}, not for this one`)
  if (typeof exp !== 'number') throw refuse('has no time of expiry')
  if (!isKey((cnf as { readonly jwk?: unknown } | undefined)?.jwk, jwk)) {
    throw refuse('is for another key')
  }
  return attestation
}

function isKey(named: unknown, jwk: InstanceJwk): boolean {
  try {
    return thumbprint({ ...(named as InstanceJwk) }) === thumbprint(jwk)
  } catch {
    return false
  }
}

interface CachedAttestation {
  readonly attestation: string
  /** Discards it, and loads the successor of its signer if the signer rotates. */
  discard(options?: { readonly signal?: AbortSignal | undefined }): Promise<boolean>
}

/** Caches the attestation of each client ID, and renews it in the last tenth of its lifetime. */
function attestationCache(
  attester: Attester,
  {
    jwk,
    ...options
  }: Omit<AttestationOptions, 'clientId' | 'now'> & { readonly now: () => number },
) {
  const { now } = options
  const cached = new Map<string, { readonly entry: CachedAttestation; readonly renewAt: number }>()
  const running = new Map<string, Promise<CachedAttestation>>()

  async function renew(clientId: string): Promise<CachedAttestation> {
    const request = { clientId, jwk }
    const startedAt = now()
    let signer: Signer | undefined
    const sign = (by: Signer) => {
      signer = by
      return experimentalSignAttestation(by, { ...options, ...request })
    }
    const rotating = typeof attester !== 'function' && 'use' in attester ? attester : undefined
    const attestation =
      typeof attester === 'function'
        ? requireOwn(await attester(request), request)
        : await ('use' in attester ? attester.use(sign) : sign(attester))
    const entry: CachedAttestation = {
      attestation,
      async discard(given) {
        if (cached.get(clientId)?.entry === entry) cached.delete(clientId)
        return rotating !== undefined && signer !== undefined
          ? rotating.replace(signer, given)
          : false
      },
    }
    const endsAt = Number(jwtClaims(attestation)['exp']) * 1000
    cached.set(clientId, { entry, renewAt: endsAt - (endsAt - startedAt) / 10 })
    return entry
  }

  return {
    async get(clientId: string, { signal }: CheckedRequest): Promise<CachedAttestation> {
      const found = cached.get(clientId)
      if (found !== undefined && now() < found.renewAt) return found.entry
      const renewal =
        running.get(clientId) ??
        renew(clientId).finally(() => {
          running.delete(clientId)
        })
      running.set(clientId, renewal)
      return unlessAborted(renewal, signal)
    },
  }
}

/** Refuses a server that does not list the algorithms of the attestation or of the proof. */
function requireAlgorithms(as: AuthorizationServer, proofAlg: string, attester: Attester): void {
  const signer =
    typeof attester === 'function' ? undefined : 'use' in attester ? attester.current : attester
  requireAlgorithm(as, 'client_attestation_signing_alg_values_supported', signer?.alg)
  requireAlgorithm(as, 'client_attestation_pop_signing_alg_values_supported', proofAlg)
}

function publicMembers(jwk: InstanceJwk): InstanceJwk {
  if (typeof jwk !== 'object' || jwk === null) throw new TypeError('"jwk" must be a public JWK')
  if (['d', 'k', 'p', 'q', 'priv'].some((name) => name in jwk)) {
    throw new TypeError('"jwk" must be a public JWK; it has private members')
  }
  return requiredMembers({ ...jwk } as Parameters<typeof requiredMembers>[0])
}

function requireLifetime(seconds: number | undefined = 3600): number {
  if (Number.isInteger(seconds) && seconds > 0 && seconds <= 86_400) return seconds
  throw new TypeError('"lifetimeSeconds" must be a whole number from 1 to 86400')
}
