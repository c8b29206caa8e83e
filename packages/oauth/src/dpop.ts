import { generateKeyPairSync, hash, randomUUID, sign } from 'node:crypto'
import {
  createSigner,
  type JwsAlgorithm,
  type Signer,
  signJwt,
  thumbprint,
} from '@countersign/core'
import {
  ownOptions,
  requiredMembers,
  requireString,
  sanitize,
  sanitizeValue,
} from '@countersign/core/backend'
import type { AuthorizationServer } from 'oauth4webapi'
import { OAuthError } from './errors.ts'
import { listIn } from './server-checks.ts'

/** A request that a DPoP proof is made for. */
export interface DpopProofRequest {
  /** The HTTP method, as it is sent. */
  readonly htm: string
  /** The URL of the request; its query and fragment are not part of the proof. */
  readonly htu: string | URL
  /** The access token of a request to a resource; left out for a token request. */
  readonly accessToken?: string | undefined
  /** Stops waiting for the signature; the promise then rejects with `signal.reason`. */
  readonly signal?: AbortSignal | null | undefined
}

/**
 * A key that tokens are bound to, and the nonces that servers asked for. Its two methods are those that
 * `@modelcontextprotocol/client` calls on a session of its own.
 */
export interface DpopSession {
  /** The algorithm of the proofs. */
  readonly alg: JwsAlgorithm
  /** Returns the RFC 7638 SHA-256 thumbprint of the public key, which is `cnf.jkt` of a bound token. */
  jkt(): Promise<string>
  /** Makes a proof for one request: a JWT in compact serialization, for the header `DPoP`. */
  buildProof(request: DpopProofRequest): Promise<string>
  /**
   * Stores the nonce of a response for later requests to the same origin.
   *
   * @returns whether the response has a nonce, so that another proof may be accepted.
   */
  observeNonce(response: Response, url: string | URL): boolean
}

/** Options of {@link dpopSession}. */
export interface DpopSessionOptions {
  /** The clock, in milliseconds since the epoch; `Date.now` by default. */
  readonly now?: (() => number) | undefined
}

/** Origins whose nonces are stored; the one that was used longest ago is removed first. */
const maxOrigins = 100

/** RFC 9449 §8.1, with a bound on what a server can make us send. */
const nonceSyntax = /^[\x21\x23-\x5b\x5d-\x7e]{1,1024}$/

/**
 * Makes a DPoP session: the key of the proofs, and a memory of nonces.
 *
 * Without a signer, the key is a new P-256 key in memory, which no caller can export. It is made for the first proof, and
 * a proof does not call a key service. With a signer, each HTTP request costs one of its signatures.
 *
 * @param signer - signs the proofs. It must not rotate, because tokens are bound to one key.
 * @param options - the clock.
 * @returns the session. `buildProof` rejects with a `SignerError` when the signer cannot sign, and with a `TypeError`
 *   for a URL that is not http or https, and for a token with characters that a header cannot carry.
 * @throws `TypeError` when `signer` is not a signer.
 *
 * @example
 * ```ts
 * import { dpopSession } from '@countersign/oauth'
 *
 * const session = dpopSession()
 * const proof = await session.buildProof({ htm: 'POST', htu: 'https://as.example.com/token' })
 * ```
 *
 * @see [RFC 9449 §4](https://www.rfc-editor.org/rfc/rfc9449#section-4)
 */
export function dpopSession(signer?: Signer, options: DpopSessionOptions = {}): DpopSession {
  if (signer !== undefined && !isSigner(signer)) {
    throw new TypeError(
      'the key of a DPoP session must be a signer; a rotating signer cannot be used, because tokens are bound to one key',
    )
  }
  const { now = Date.now } = ownOptions(options)
  const nonces = new Map<string, string>()
  let key = signer
  let members: object | undefined

  function proofKey(): Signer {
    key ??= ephemeralSigner()
    return key
  }

  return Object.freeze({
    alg: signer?.alg ?? 'ES256',
    async jkt() {
      return thumbprint({ ...proofKey().publicJwk })
    },
    async buildProof({ htm, htu, accessToken, signal }: DpopProofRequest) {
      requireString(htm, 'htm')
      const { origin, pathname } = requireHttpUrl(htu)
      const by = proofKey()
      // Nothing else, even if a signer that others wrote shows more than its public key.
      members ??= requiredMembers({ ...by.publicJwk })
      const claims = {
        jti: randomUUID(),
        htm: sentMethod(htm),
        htu: origin + pathname,
        iat: Math.floor(now() / 1000),
        nonce: nonces.get(origin),
        ath: accessToken === undefined ? undefined : tokenHash(accessToken),
      }
      const header = { jwk: members }
      return signJwt(by, claims, {
        typ: 'dpop+jwt',
        kid: null,
        header,
        signal: signal ?? undefined,
      })
    },
    observeNonce(response: Response, url: string | URL) {
      const nonce = response.headers.get('dpop-nonce')
      if (nonce === null || !nonceSyntax.test(nonce)) return false
      const { origin } = new URL(url)
      // Inserted again, so that the first origin in the map is the oldest.
      nonces.delete(origin)
      nonces.set(origin, nonce)
      const [oldest = origin] = nonces.keys()
      if (nonces.size > maxOrigins) nonces.delete(oldest)
      return true
    },
  })
}

function isSigner(value: unknown): value is Signer {
  const { sign, alg } = (value ?? {}) as { readonly sign?: unknown; readonly alg?: unknown }
  return typeof sign === 'function' && typeof alg === 'string'
}

/**
 * Makes a key in memory. Only the function that signs has the private key, so no caller can export it.
 *
 * It signs on the calling thread: a signature takes less time than the way to the thread pool and back.
 */
export function ephemeralSigner(): Signer {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = { key: privateKey, dsaEncoding: 'ieee-p1363' } as const
  return createSigner(
    {
      name: 'dpop',
      alg: 'ES256',
      publicKey,
      sign: ({ message }) => sign('sha256', message, key),
    },
    // No device or network is between the key and the caller that could change the signature.
    { verify: false },
  )
}

/** The target of a request. What is left of it in `htu` is as `fetch` sends it: it normalizes host, port and dot segments. */
function requireHttpUrl(htu: string | URL): URL {
  const url = URL.canParse(String(htu)) ? new URL(htu) : undefined
  if (url !== undefined && /^https?:$/.test(url.protocol)) return url
  throw new TypeError('"htu" must be an absolute http or https URL')
}

/** The method as `fetch` sends it, which writes these in upper case and no others. */
function sentMethod(method: string): string {
  return /^(?:delete|get|head|options|post|put)$/i.test(method) ? method.toUpperCase() : method
}

/** `ath` of RFC 9449 §4.2, which is defined for the ASCII characters that a header can carry. */
function tokenHash(token: string): string {
  if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token)) {
    throw new TypeError('"accessToken" must be a string of visible ASCII characters')
  }
  return hash('sha256', token, 'base64url')
}

/** Options of DPoP for a token source or a provider. */
export interface DpopOptions {
  /** Signs the proofs; by default a new key in memory. */
  readonly signer?: Signer | undefined
  /** A session to share with other requests, in place of `signer`. */
  readonly session?: DpopSession | undefined
  /**
   * Whether a bearer token is refused; `true` by default. With `false`, DPoP is preferred: the token is used as a bearer
   * token if the server does not bind it.
   */
  readonly required?: boolean | undefined
  /** Also names the key in the assertion of `privateKeyJwt`, as `cnf.jkt`; `false` by default. */
  readonly jktInAssertion?: boolean | undefined
}

/** DPoP of a token source, with the defaults filled in. */
export interface Dpop {
  readonly session: DpopSession
  readonly required: boolean
  readonly jktInAssertion: boolean
}

/**
 * Reads the option `dpop`.
 *
 * @throws `TypeError` when it is not of its type.
 */
export function readDpop(
  option: boolean | Signer | DpopOptions | undefined,
  now: () => number,
): Dpop | undefined {
  if (option === undefined || option === false) return undefined
  if (option !== true && (typeof option !== 'object' || option === null)) {
    throw new TypeError('"dpop" must be true, a signer, or an object of options')
  }
  // A rotating signer is passed on to be refused.
  const isKey = option !== true && (isSigner(option) || 'use' in option)
  const given: DpopOptions = option === true ? {} : isKey ? { signer: option as Signer } : option
  const { signer, session, required = true, jktInAssertion = false } = ownOptions(given)
  if (typeof required !== 'boolean' || typeof jktInAssertion !== 'boolean') {
    throw new TypeError('"dpop.required" and "dpop.jktInAssertion" must be booleans')
  }
  if (session !== undefined && typeof session?.buildProof !== 'function') {
    throw new TypeError('"dpop.session" must be a session of dpopSession(…)')
  }
  if (session !== undefined && signer !== undefined) {
    throw new TypeError('"dpop.session" has a key already; leave "dpop.signer" out')
  }
  return { session: session ?? dpopSession(signer, { now }), required, jktInAssertion }
}

/**
 * Tells whether to make proofs for a server, before anything is signed. A server that does not list its algorithms gets
 * proofs, because some accept DPoP without saying so.
 *
 * @throws {@link OAuthError} `ERR_OAUTH_ALG_NOT_ADVERTISED` when DPoP is required and the server does not list the
 *   algorithm.
 */
export function acceptsProofs(as: AuthorizationServer, { session, required }: Dpop): boolean {
  const member = 'dpop_signing_alg_values_supported'
  const algs = listIn(as, member)
  if (algs === undefined || algs.includes(session.alg)) return true
  if (!required) return false
  throw new OAuthError(
    'ERR_OAUTH_ALG_NOT_ADVERTISED',
    `${sanitizeValue(as.issuer)} does not list ${session.alg} in "${member}" (it lists ${sanitizeValue(algs)}); use a DPoP key of a listed algorithm`,
  )
}

/**
 * Refuses a token that is not of a type that can be used: with proofs a DPoP-bound one, and a bearer token if DPoP is
 * only preferred.
 *
 * @param dpop - how the proofs of the token request were made; left out for a request without a proof.
 */
export function requireTokenType(issuer: string, type: string, dpop: Dpop | undefined): void {
  const found = type.toLowerCase()
  if (found === 'dpop' && dpop !== undefined) return
  if (found === 'bearer' && dpop?.required !== true) return
  throw new OAuthError(
    'ERR_OAUTH_TOKEN_TYPE',
    `${sanitize(issuer)} granted a token of type ${sanitizeValue(type)}; ${tokenTypeAdvice(found, dpop)}`,
  )
}

function tokenTypeAdvice(found: string, dpop: Dpop | undefined): string {
  if (dpop?.required === true) {
    return 'the client requires DPoP. Have the server bind the tokens of this client, or accept a bearer token with dpop: { required: false }'
  }
  return found === 'dpop'
    ? 'no proof was sent, so the token is bound to another key. Set the option "dpop"'
    : 'only bearer tokens can be used'
}
