import { type Jwks, jwks, type SignerSource } from '@countersign/core'
import { isLoopback, ownOptions, requireString } from '@countersign/core/backend'

/** Options of {@link clientMetadata}. */
export interface ClientMetadataOptions {
  /** The https URL that the document is served from, which is the client identifier. */
  readonly clientId: string
  /** The name that users see. */
  readonly clientName: string
  /** The redirect URIs of a client that signs users in; none by default. */
  readonly redirectUris?: readonly string[] | undefined
  /** `client_credentials` by default; `authorization_code` and `refresh_token` with `redirectUris`. */
  readonly grantTypes?: readonly string[] | undefined
  /** The scope values that the client may request, separated by spaces. */
  readonly scope?: string | undefined
  /** The https URL of the JWK Set; without it, the keys are in the document. */
  readonly jwksUri?: string | undefined
  /** Further registered members, such as `logo_uri` or `contacts`; none of those above can be replaced. */
  readonly members?: Readonly<Record<string, unknown>> | undefined
}

/**
 * A Client ID Metadata Document, in the members of RFC 7591 §2.
 *
 * @see [RFC 7591 §2](https://www.rfc-editor.org/rfc/rfc7591#section-2)
 */
export interface ClientMetadata {
  readonly client_id: string
  readonly client_name: string
  /** Absent without redirect URIs: some servers refuse an empty list. */
  readonly redirect_uris?: readonly string[]
  readonly grant_types: readonly string[]
  readonly response_types: readonly string[]
  readonly token_endpoint_auth_method: 'private_key_jwt'
  /** Absent when the keys have several algorithms, since it names only one. */
  readonly token_endpoint_auth_signing_alg?: string
  readonly scope?: string
  readonly jwks?: Jwks
  readonly jwks_uri?: string
  readonly [member: string]: unknown
}

const reserved: ReadonlySet<string> = new Set([
  'client_id',
  'client_name',
  'redirect_uris',
  'grant_types',
  'response_types',
  'token_endpoint_auth_method',
  'token_endpoint_auth_signing_alg',
  'scope',
  'jwks',
  'jwks_uri',
])
const secret = /^(?:client_secret(?:_expires_at)?|registration_access_token)$/
const webUrl = /^(?:client|logo|tos|policy)_uri(?:#|$)/

/** The size that the draft advises authorization servers to read. */
const maxOctets = 5000

/**
 * Makes a Client ID Metadata Document, for a client that authenticates by `private_key_jwt`. The client publishes it at
 * the URL that is its identifier, for authorization servers that it was never registered with.
 *
 * @param source - the signer; several while one key replaces another.
 * @param options - the client's identifier, name and grants.
 * @returns the document, frozen, to be served as JSON with status 200 and without a redirect.
 * @throws `TypeError` when an option breaks a rule of the draft or of MCP, when a further member would replace one of
 *   these or contain a secret, and when the document is larger than 5000 octets, the size that the draft advises
 *   servers to read.
 *
 * @example
 * ```ts
 * import type { Signer } from '@countersign/core'
 * import { clientMetadata } from '@countersign/oauth'
 *
 * declare const current: Signer
 * declare const next: Signer
 *
 * const body = JSON.stringify(
 *   clientMetadata([current, next], {
 *     clientId: 'https://agent.example.com/client.json',
 *     clientName: 'Billing agent',
 *   }),
 * )
 * ```
 *
 * @see [draft-ietf-oauth-client-id-metadata-document §4](https://datatracker.ietf.org/doc/html/draft-ietf-oauth-client-id-metadata-document#section-4)
 */
export function clientMetadata(
  source: SignerSource | readonly SignerSource[],
  options: ClientMetadataOptions,
): ClientMetadata {
  const own = ownOptions(options)
  const { clientId, clientName, redirectUris = [], scope, jwksUri, members = {} } = own
  requireClientUrl(clientId)
  requireString(clientName, 'clientName')
  requireStrings(redirectUris, 'redirectUris')
  for (const uri of redirectUris) requireRedirectUri(uri)
  if (scope !== undefined) requireScope(scope)
  if (jwksUri !== undefined) requireWebUrl(jwksUri, 'jwksUri')
  const keys = jwks(...[source].flat())
  const [alg, ...others] = new Set(keys.keys.map((key) => key.alg))
  if (alg === undefined) throw new TypeError('the first argument must be a signer')
  const grantTypes = readGrantTypes(own.grantTypes, redirectUris)

  const document: ClientMetadata = Object.freeze({
    ...furtherMembers(members),
    client_id: clientId,
    client_name: clientName,
    ...(redirectUris.length > 0 && { redirect_uris: [...redirectUris] }),
    grant_types: [...grantTypes],
    response_types: grantTypes.includes('authorization_code') ? ['code'] : [],
    token_endpoint_auth_method: 'private_key_jwt',
    ...(others.length === 0 && { token_endpoint_auth_signing_alg: alg }),
    ...(scope !== undefined && { scope }),
    ...(jwksUri === undefined ? { jwks: keys } : { jwks_uri: jwksUri }),
  })
  const octets = Buffer.byteLength(JSON.stringify(document))
  if (octets <= maxOctets) return document
  throw new TypeError(
    `the document has ${octets} octets, and servers need not read more than ${maxOctets}; publish the keys at a "jwksUri", or leave out members`,
  )
}

function readGrantTypes(given: unknown, redirectUris: readonly string[]): readonly string[] {
  const usual =
    redirectUris.length > 0 ? ['authorization_code', 'refresh_token'] : ['client_credentials']
  const grantTypes: unknown = given ?? usual
  requireStrings(grantTypes, 'grantTypes')
  if (grantTypes.length === 0) throw new TypeError('"grantTypes" must name a grant type')
  if (grantTypes.includes('authorization_code') !== redirectUris.length > 0) {
    throw new TypeError('"redirectUris" and the grant type authorization_code go together')
  }
  return grantTypes
}

function furtherMembers(members: Readonly<Record<string, unknown>>): Record<string, unknown> {
  if (typeof members !== 'object' || members === null || Array.isArray(members)) {
    throw new TypeError('"members" must be an object')
  }
  const given = Object.entries(members).filter(([, value]) => value !== undefined)
  for (const [name, value] of given) {
    if (reserved.has(name)) throw new TypeError(`"members.${name}" cannot be set or replaced`)
    if (secret.test(name)) {
      throw new TypeError(`"members.${name}" must not be there: everyone can read the document`)
    }
    if (webUrl.test(name)) requireWebUrl(value, `members.${name}`)
  }
  return Object.fromEntries(given)
}

function requireScope(scope: unknown): void {
  if (typeof scope === 'string' && /^[!#-[\]-~]+(?: [!#-[\]-~]+)*$/.test(scope)) return
  throw new TypeError('"scope" must be a string of values separated by single spaces')
}

function requireStrings(values: unknown, option: string): asserts values is readonly string[] {
  const all = Array.isArray(values) && values.every((value) => typeof value === 'string' && value)
  if (!all) throw new TypeError(`"${option}" must be a list of non-empty strings`)
}

/**
 * Refuses a client identifier that cannot be the URL of a metadata document, or that is not in normal form: servers
 * compare it character by character.
 */
function requireClientUrl(value: unknown): asserts value is string {
  const url = requireUrl(value, 'clientId')
  const text = String(value)
  if (url.protocol !== 'https:') throw new TypeError('"clientId" must be an https URL')
  requireNoCredentials(url, 'clientId')
  requireNoFragment(text, 'clientId')
  if (text.includes('?')) throw new TypeError('"clientId" must have no query')
  if (/\/(?:\.|%2e){1,2}(?:\/|$)/i.test(text)) {
    throw new TypeError('"clientId" must have no "." and no ".." in its path')
  }
  if (url.pathname === '/') {
    throw new TypeError(
      '"clientId" must have a path, such as https://agent.example.com/client.json',
    )
  }
  if (url.href !== text) throw new TypeError(`"clientId" must be written as ${url.href}`)
}

/** Refuses a value that is not an https URL, for an authorization server or a user to open. */
function requireWebUrl(value: unknown, option: string): asserts value is string {
  const url = requireUrl(value, option)
  if (url.protocol !== 'https:') throw new TypeError(`"${option}" must be an https URL`)
  requireNoCredentials(url, option)
  requireNoFragment(String(value), option)
}

/** Refuses a redirect URI that RFC 6749 §3.1.2, RFC 8252 §7.3 or the MCP authorization rules do not allow. */
function requireRedirectUri(value: unknown): asserts value is string {
  const url = requireUrl(value, 'redirectUris')
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url.hostname))) {
    throw new TypeError('each of "redirectUris" must be an https URL, or an http URL on loopback')
  }
  requireNoCredentials(url, 'redirectUris')
  requireNoFragment(String(value), 'redirectUris')
}

function requireUrl(value: unknown, option: string): URL {
  if (typeof value === 'string' && URL.canParse(value)) return new URL(value)
  throw new TypeError(`"${option}" must be a URL`)
}

function requireNoCredentials(url: URL, option: string): void {
  if (url.username === '' && url.password === '') return
  throw new TypeError(`"${option}" must have no user name and no password in it`)
}

function requireNoFragment(text: string, option: string): void {
  if (text.includes('#')) throw new TypeError(`"${option}" must have no fragment`)
}
