import { Buffer } from 'node:buffer'
import { randomFillSync } from 'node:crypto'
import { readMembers, type SignJwtOptions, signClaims } from './jws.ts'
import { ownOptions, requireString } from './options.ts'
import type { SignerSource } from './signer.ts'

/** Options that the two JWT profiles of RFC 7523 share. */
export interface JwtOptions extends SignJwtOptions {
  /** The party that is asked to accept the assertion, one string: the authorization server's issuer identifier. */
  readonly audience: string
  /** Time from `iat` to `exp`, a whole number of seconds from 1 to 3600; 60 by default. */
  readonly lifetimeSeconds?: number | undefined
  /** Further claims; none of `iss`, `sub`, `aud`, `iat`, `exp` and `jti` can be replaced. */
  readonly claims?: Readonly<Record<string, unknown>> | undefined
  /** The clock, in milliseconds since the epoch; `Date.now` by default. */
  readonly now?: (() => number) | undefined
}

/** Options of {@link clientAssertion}. */
export interface ClientAssertionOptions extends JwtOptions {
  /** The client identifier; becomes `iss` and `sub`. */
  readonly clientId: string
  /** The header's `typ`; `client-authentication+jwt` by default. */
  readonly typ?: string | undefined
}

/**
 * Makes a client assertion: a JWT by which an OAuth client authenticates itself.
 *
 * Each call makes a new one, with a `jti` of 128 random bits. Nothing is cached: use an assertion for one
 * request and drop it.
 *
 * @param source - who signs.
 * @param options - `clientId` becomes `iss` and `sub`; `audience` is the authorization server's issuer
 *   identifier, as one string.
 * @returns the JWT in compact serialization.
 * @throws {@link SignerError} when the signer cannot sign.
 * @throws `TypeError` when an option is not of its type, or a claim or header member would replace one that is set.
 *
 * @example
 * ```ts
 * import { clientAssertion, type Signer } from '@countersign/core'
 *
 * declare const signer: Signer
 *
 * const body = new URLSearchParams({
 *   grant_type: 'client_credentials',
 *   client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
 *   client_assertion: await clientAssertion(signer, {
 *     clientId: 'billing-agent',
 *     audience: 'https://as.example.com',
 *   }),
 * })
 * ```
 *
 * @see [RFC 7523 §2.2](https://www.rfc-editor.org/rfc/rfc7523#section-2.2) and
 *   [§3](https://www.rfc-editor.org/rfc/rfc7523#section-3)
 */
export async function clientAssertion(
  source: SignerSource,
  options: ClientAssertionOptions,
): Promise<string> {
  const { clientId } = options
  requireString(clientId, 'clientId')
  return await signAssertion(source, clientId, clientId, 'client-authentication+jwt', options)
}

/**
 * Makes a function from audience to client assertion, the shape that other libraries ask for.
 *
 * @param source - who signs.
 * @param options - those of {@link clientAssertion}, without the audience.
 * @returns a function that makes a new assertion for the audience it is given; it throws what
 *   {@link clientAssertion} throws.
 * @throws `TypeError` when `clientId` is not a non-empty string.
 *
 * @example
 * ```ts
 * import { assertionProvider, type Signer } from '@countersign/core'
 *
 * declare const signer: Signer
 *
 * const provide = assertionProvider(signer, { clientId: 'billing-agent' })
 * const assertion = await provide('https://as.example.com')
 * ```
 *
 * @see [RFC 7523 §2.2](https://www.rfc-editor.org/rfc/rfc7523#section-2.2)
 */
export function assertionProvider(
  source: SignerSource,
  options: Omit<ClientAssertionOptions, 'audience'>,
): (audience: string) => Promise<string> {
  requireString(options.clientId, 'clientId')
  return (audience) => clientAssertion(source, { ...options, audience })
}

/** Options of {@link authorizationGrant}. */
export interface AuthorizationGrantOptions extends JwtOptions {
  /** Who issues the assertion; becomes `iss`. */
  readonly issuer: string
  /** On whose behalf a token is asked for; becomes `sub`. */
  readonly subject: string
}

/**
 * Makes a JWT that is itself an authorization grant, for the grant type
 * `urn:ietf:params:oauth:grant-type:jwt-bearer`.
 *
 * @param source - who signs.
 * @param options - `issuer`, `subject`, and `audience`: the authorization server's issuer identifier or
 *   its token endpoint, as the server wants it.
 * @returns the JWT in compact serialization, a new one for each call.
 * @throws {@link SignerError} when the signer cannot sign.
 * @throws `TypeError` when an option is not of its type, or a claim or header member would replace one that is set.
 *
 * @example
 * ```ts
 * import { authorizationGrant, type Signer } from '@countersign/core'
 *
 * declare const signer: Signer
 *
 * const body = new URLSearchParams({
 *   grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
 *   assertion: await authorizationGrant(signer, {
 *     issuer: 'https://idp.example.com',
 *     subject: 'alice',
 *     audience: 'https://as.example.com',
 *   }),
 * })
 * ```
 *
 * @see [RFC 7523 §2.1](https://www.rfc-editor.org/rfc/rfc7523#section-2.1)
 */
export async function authorizationGrant(
  source: SignerSource,
  options: AuthorizationGrantOptions,
): Promise<string> {
  const { issuer, subject } = options
  return await signAssertion(source, issuer, subject, 'JWT', options)
}

const reservedClaims = ['iss', 'sub', 'aud', 'iat', 'exp', 'jti']

/**
 * Signs an assertion of RFC 7523 §3.
 *
 * @param usualTyp - the header's `typ` where the options have none.
 */
function signAssertion(
  source: SignerSource,
  issuer: string,
  subject: string,
  usualTyp: string,
  options: JwtOptions,
): Promise<string> {
  const own = ownOptions(options)
  const { audience, typ = usualTyp, lifetimeSeconds = 60, now = Date.now } = own
  requireString(issuer, 'issuer')
  requireString(subject, 'subject')
  requireString(audience, 'audience')
  if (!Number.isInteger(lifetimeSeconds) || lifetimeSeconds < 1 || lifetimeSeconds > 3600) {
    throw new TypeError('"lifetimeSeconds" must be a whole number from 1 to 3600')
  }
  const further = readMembers(own.claims, reservedClaims, 'claims')
  const claims = () => {
    const iat = Math.floor(now() / 1000)
    if (!Number.isSafeInteger(iat))
      throw new TypeError('"now" must return milliseconds as a number')
    return {
      iss: issuer,
      sub: subject,
      aud: audience,
      iat,
      exp: iat + lifetimeSeconds,
      jti: randomId(),
      ...further,
    }
  }
  return signClaims(source, claims, typ, own)
}

const randomOctets = Buffer.alloc(16)

/** 128 bits, drawn at each call and not ahead, since a snapshot of the process would copy what was drawn. */
function randomId(): string {
  return randomFillSync(randomOctets).toString('base64url')
}
