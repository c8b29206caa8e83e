import { OAuthError } from '@countersign/oauth'
import type { Candidate, Failure } from './step.ts'

/** Words by which authorization servers say what they have against an assertion. */
const hints: readonly (readonly [Candidate, RegExp])[] = [
  [
    'client',
    /(?:unknown|no such) client|(?:client|application)\b.{0,80}\b(?:not found|not registered|unknown|(?:does not|doesn't) exist)|'client_id' parameter/i,
  ],
  [
    'clock',
    /expired|\b(?:not active|not yet valid|in the future|time range|issued at|too old|clock)\b|\b(?:iat|exp|nbf)\b/i,
  ],
  ['audience', /\baud(?:ience)?\b/i],
  ['typ', /\btyp\b/i],
  ['algorithm', /\balg(?:orithm)?\b/i],
  ['key', /signature|integrity|signing key|public key|\bkid\b|\bjwks?(?:_uri)?\b|certificate/i],
]

/** What a server's description of `invalid_client` points at; nothing when it keeps that to itself. */
export function hintsIn(description: string | undefined): Candidate[] {
  // Some recite the standard's list of examples with every refusal, RFC 6749 §5.2.
  const said = (description ?? '').replace(/\(e\.g\.[^)]*\)/g, '')
  return hints.filter(([, words]) => words.test(said)).map(([candidate]) => candidate)
}

/** What is known about a refused client, for remedies. */
export interface Refused {
  readonly clientId: string
  readonly alg: string
  readonly kid: string
  readonly issuer: string
  readonly audience: string
}

const advice: { readonly [candidate in Candidate]: (about: Refused) => string } = {
  clock: () => 'set the clock of this machine, or that of the authorization server',
  client: ({ clientId, issuer }) =>
    `check that a client "${clientId}" is registered with ${issuer}, and to authenticate with private_key_jwt`,
  key: ({ kid, clientId }) =>
    `register the public key (countersign jwks KEY; kid ${kid}) with the client "${clientId}", or have its jwks_uri publish it`,
  algorithm: ({ alg }) => `register ${alg} as the client's token_endpoint_auth_signing_alg`,
  audience: ({ audience }) =>
    `give the audience that the server wants by --audience; it is not ${audience}`,
  typ: () => 'give the type that the server wants by --typ',
  kid: () => 'give the key ID that the server knows the key by, by --kid',
  client_id: () => 'give --client-id-in-body',
}

/** What to do about one or several possible causes. */
export function adviceOn(candidates: readonly Candidate[], about: Refused): string {
  const [only, ...more] = candidates
  if (only !== undefined && more.length === 0) return advice[only](about)
  return candidates.map((candidate, n) => `(${n + 1}) ${advice[candidate](about)}`).join('; ')
}

/** What to do about a server's other errors, RFC 6749 §5.2 and RFC 8707 §2. */
const otherErrors: Readonly<Record<string, string>> = {
  unauthorized_client: 'allow the client the grant client_credentials at the authorization server',
  unsupported_grant_type: 'enable the grant client_credentials at the authorization server',
  invalid_scope: 'ask for a scope that the client may have, by --scope, or grant it to the client',
  invalid_target:
    'register the resource with the authorization server, under the identifier in the metadata of the MCP server, and allow it to the client',
  access_denied: 'have the authorization server’s policy admit the client',
}

/** A remedy that is better than the library's own, if the server's error has one. */
export function withRemedy(failure: Failure, error: unknown): Failure {
  const remedy = OAuthError.is(error) ? otherErrors[error.error ?? ''] : undefined
  return remedy === undefined ? failure : { ...failure, remedy }
}
