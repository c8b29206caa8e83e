import { jwks, type Signer, type SignMessage } from '@countersign/core'
import type { Page } from './page.ts'

/** A request of the client, and the response to it. */
export interface Exchange {
  readonly method: string
  readonly url: URL
  /** The parameters of the form in the request's body. */
  readonly form: Readonly<Record<string, string>> | undefined
  /** Whether the request had an access token. */
  readonly bearer: boolean
  readonly status: number
  /** Response headers. */
  readonly headers: Headers
  /** Response body, when it is JSON. */
  readonly body: unknown
}

/** What the client did, and what it received. */
export interface Run {
  readonly clientId: string
  readonly signer: Signer
  /** Where the key comes from, as the report says it. */
  readonly keyOrigin: string
  readonly issuer: string
  readonly mcpUrl: string
  /** All requests of the client. */
  readonly exchanges: readonly Exchange[]
  readonly tools: readonly string[]
  /** What the tool `whoami` answered. */
  readonly answer: string
  readonly signatures: readonly SignMessage[]
  /** How long the run took. */
  readonly seconds: number
}

/** What the report shows of an access token. */
const redacted = 'eyJ…(redacted)'

/**
 * Shows each step by the requests and responses that were recorded. It shows the header and claims of the assertion
 * but not its signature, and the claims of the access token.
 */
export function report(page: Page, run: Run): void {
  page.title(
    'Countersign',
    'An MCP client authenticates with a signature. There is no client secret.',
  )
  page.row('MCP client', 'MCP TypeScript SDK v2')
  page.row('MCP server', run.mcpUrl)
  page.row('authorization server', `${run.issuer}, oidc-provider`)
  reportKey(page, run)
  reportDiscovery(page, run)
  reportToken(page, run)
  reportToolCall(page, run)
  page.end()
}

function reportKey(page: Page, { clientId, signer, keyOrigin }: Run): void {
  const { keys } = jwks(signer)
  page.step(1, 'The public key is registered', 'RFC 7517')
  page.row('key', `${signer.alg}, ${keyOrigin}`)
  page.row('kid', signer.kid)
  page.row('JWKS', `${keys.length} key: ${keys.flatMap(Object.keys).join(', ')}`)
  page.row('client', `${clientId}, authenticates with private_key_jwt`)
}

function reportDiscovery(page: Page, { exchanges }: Run): void {
  const refused = findExchange(
    exchanges,
    'request that was answered with 401',
    ({ status }) => status === 401,
  )
  page.step(2, 'The MCP server needs a token, and says where to get one', 'RFC 9728')
  page.exchange(requestLine(refused), refused.status)
  show(page, challengeOf(refused), ['resource_metadata', 'scope'])
  const resource = findExchange(
    exchanges,
    'request for the metadata of the resource',
    isWellKnown('oauth-protected-resource'),
  )
  page.exchange(requestLine(resource), resource.status)
  show(page, members(resource.body), ['resource', 'authorization_servers', 'scopes_supported'])

  const server = findExchange(
    exchanges,
    'request for the metadata of the authorization server',
    isWellKnown('oauth-authorization-server'),
  )
  const metadata = members(server.body)
  page.step(3, 'The authorization server says what it accepts', 'RFC 8414')
  page.exchange(requestLine(server), server.status)
  show(page, metadata, ['issuer', 'token_endpoint'])
  page.row('methods', text(metadata['token_endpoint_auth_methods_supported']))
  page.row('algorithms', text(metadata['token_endpoint_auth_signing_alg_values_supported']))
}

function reportToken(page: Page, { exchanges }: Run): void {
  const granted = findExchange(exchanges, 'token request', isTokenRequest)
  const form = members(granted.form)
  const assertion = partsOf(form['client_assertion'])
  page.step(4, 'The client signs an assertion for this one request', 'RFC 7523')
  page.exchange(requestLine(granted))
  show(page, form, ['grant_type', 'resource', 'scope'])
  page.table('assertion, header', readable(assertion.header))
  page.table('assertion, claims', readable(assertion.claims))
  page.row('assertion, signature', `${assertion.signatureWidth} octets, not shown`)

  const answer = members(granted.body)
  const { claims: token } = partsOf(answer['access_token'])
  page.step(5, 'The authorization server answers with an access token', 'RFC 6749')
  page.exchange(requestLine(granted), granted.status)
  show(page, answer, ['token_type', 'expires_in'])
  page.row('access_token', redacted)
  const shown = ['iss', 'aud', 'client_id', 'scope', 'iat', 'exp']
  const claims = Object.fromEntries(shown.map((name) => [name, token[name]]))
  page.table('access_token, claims', readable(claims))
}

function reportToolCall(page: Page, run: Run): void {
  const { exchanges, tools, answer, signatures, seconds } = run
  const authorized = exchanges.filter(({ bearer }) => bearer)
  const call = findExchange(
    [...authorized].reverse(),
    'tool call',
    ({ method }) => method === 'POST',
  )
  page.step(6, 'With the token, the client calls a tool', 'MCP')
  page.exchange(`${requestLine(call)}   Authorization: Bearer ${redacted}`, call.status)
  page.row('tools', tools.join(', '))
  page.row('whoami answers', answer, 'green')

  const signing = signatures.reduce((sum, { durationSeconds }) => sum + durationSeconds, 0)
  page.step(7, 'Summary')
  page.row('signatures', `${signatures.length}, in ${(signing * 1000).toFixed(1)} ms`)
  page.row('token requests', text(exchanges.filter(isTokenRequest).length))
  page.row('discovery requests', text(exchanges.filter(isWellKnown()).length))
  page.row('requests with token', text(authorized.length))
  page.row('time', `${seconds.toFixed(1)} s`)
}

/** A JSON object with unknown members. */
type Members = Readonly<Record<string, unknown>>

/** The first exchange that matches; the demo fails without one. */
function findExchange(
  exchanges: readonly Exchange[],
  what: string,
  matches: (exchange: Exchange) => boolean,
): Exchange {
  const found = exchanges.find(matches)
  if (found === undefined) throw new Error(`the client made no ${what}`)
  return found
}

/** Matches the request for a well-known document, RFC 8615. */
const isWellKnown =
  (name = '') =>
  ({ url }: Exchange): boolean =>
    url.pathname.startsWith(`/.well-known/${name}`)

/** Matches a token request, RFC 6749 §3.2. */
const isTokenRequest = ({ method, url }: Exchange): boolean =>
  method === 'POST' && url.pathname === '/token'

/** The parameters of a challenge, RFC 9110 §11.2. */
function challengeOf({ headers }: Exchange): Members {
  const challenge = headers.get('www-authenticate') ?? ''
  const parameters = challenge.matchAll(/(\w+)="([^"]*)"/g)
  return Object.fromEntries([...parameters].map(([, name, value]) => [name, value]))
}

/** Header, claims and length of the signature of a JWT in compact serialization, RFC 7515 §7.1. */
function partsOf(jwt: unknown): { header: Members; claims: Members; signatureWidth: number } {
  const [header = '', payload = '', signature = ''] = String(jwt).split('.')
  const read = (part: string) => members(JSON.parse(Buffer.from(part, 'base64url').toString()))
  return {
    header: read(header),
    claims: read(payload),
    signatureWidth: Buffer.from(signature, 'base64url').length,
  }
}

/** The members of a JSON object; none for any other value. */
const members = (value: unknown): Members =>
  typeof value === 'object' && value !== null ? { ...value } : {}

const requestLine = ({ method, url }: Exchange): string => `${method.padEnd(5)}${url.pathname}`

const text = (value: unknown): string =>
  Array.isArray(value) ? value.join(', ') : String(value ?? 'none')

/** The members of a header or of claims as text, with a time of day for each NumericDate (RFC 7519 §2). */
function readable(object: Members): Record<string, string> {
  const { iat, exp } = object as { readonly iat?: unknown; readonly exp?: unknown }
  const lifetime = `${Number(exp) - Number(iat)} s after iat`
  return Object.fromEntries(
    Object.entries(object).map(([name, value]) => {
      if (name === 'iat') return [name, clock(value)]
      if (name === 'exp') return [name, `${clock(value)}, ${lifetime}`]
      return [name, text(value)]
    }),
  )
}

const clock = (seconds: unknown): string =>
  `${new Date(Number(seconds) * 1000).toISOString().slice(11, 19)} UTC`

function show(page: Page, object: Members, names: readonly string[]): void {
  for (const name of names) page.row(name, text(object[name]))
}
