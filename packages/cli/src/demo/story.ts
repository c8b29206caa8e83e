import { jwks, type Signer, type SignMessage } from '@countersign/core'
import type { Exchange } from './observe.ts'
import type { Page } from './page.ts'
import {
  challengeOf,
  findExchange,
  isTokenRequest,
  isWellKnown,
  type Members,
  members,
  partsOf,
} from './wire.ts'

/** What happened, to be told. */
export interface Happening {
  readonly clientId: string
  readonly signer: Signer
  /** Where the key comes from, for people. */
  readonly keyOrigin: string
  readonly issuer: string
  readonly mcpUrl: string
  /** As the client saw them. */
  readonly exchanges: readonly Exchange[]
  readonly tools: readonly string[]
  /** Of the tool `whoami`. */
  readonly answer: string
  readonly signatures: readonly SignMessage[]
  /** That all of it took. */
  readonly seconds: number
}

/** What is shown of an access token. */
const redacted = 'eyJ…(redacted)'

/**
 * Tells step by step what went over the wire. Of the assertion it shows what was signed and not the
 * signature, of the access token its claims.
 */
export function tellStory(page: Page, happening: Happening): void {
  page.title(
    'Countersign',
    'An MCP client proves who it is by a signature. There is no client secret.',
  )
  page.row('MCP client', 'MCP TypeScript SDK v2')
  page.row('MCP server', happening.mcpUrl)
  page.row('authorization server', `${happening.issuer}, oidc-provider`)
  tellOfKey(page, happening)
  tellOfDiscovery(page, happening)
  tellOfToken(page, happening)
  tellOfTool(page, happening)
  page.end()
}

function tellOfKey(page: Page, { clientId, signer, keyOrigin }: Happening): void {
  const { keys } = jwks(signer)
  page.step(1, 'The public half of a key is registered', 'RFC 7517')
  page.row('key', `${signer.alg}, ${keyOrigin}`)
  page.row('kid', signer.kid)
  page.row('JWKS', `${keys.length} key: ${keys.flatMap(Object.keys).join(', ')}`)
  page.row('client', `${clientId}, to authenticate by private_key_jwt`)
}

function tellOfDiscovery(page: Page, { exchanges }: Happening): void {
  const refused = findExchange(exchanges, '401', ({ status }) => status === 401)
  page.step(2, 'The MCP server wants a token, and says where to get one', 'RFC 9728')
  page.exchange(requestLine(refused), refused.status)
  show(page, challengeOf(refused), ['resource_metadata', 'scope'])
  const resource = findExchange(
    exchanges,
    'metadata of the resource',
    isWellKnown('oauth-protected-resource'),
  )
  page.exchange(requestLine(resource), resource.status)
  show(page, members(resource.body), ['resource', 'authorization_servers', 'scopes_supported'])

  const server = findExchange(
    exchanges,
    'metadata of the authorization server',
    isWellKnown('oauth-authorization-server'),
  )
  const metadata = members(server.body)
  page.step(3, 'The authorization server says what it accepts', 'RFC 8414')
  page.exchange(requestLine(server), server.status)
  show(page, metadata, ['issuer', 'token_endpoint'])
  page.row('methods', text(metadata['token_endpoint_auth_methods_supported']))
  page.row('algorithms', text(metadata['token_endpoint_auth_signing_alg_values_supported']))
}

function tellOfToken(page: Page, { exchanges }: Happening): void {
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

function tellOfTool(page: Page, happening: Happening): void {
  const { exchanges, tools, answer, signatures, seconds } = happening
  const authorized = exchanges.filter(({ bearer }) => bearer)
  const call = findExchange([...authorized].reverse(), 'call', ({ method }) => method === 'POST')
  page.step(6, 'With the token, the client calls a tool', 'MCP')
  page.exchange(`${requestLine(call)}   Authorization: Bearer ${redacted}`, call.status)
  page.row('tools', tools.join(', '))
  page.row('whoami answers', answer, 'green')

  const signing = signatures.reduce((sum, { durationSeconds }) => sum + durationSeconds, 0)
  page.step(7, 'What it took')
  page.row('signatures', `${signatures.length}, in ${(signing * 1000).toFixed(1)} ms`)
  page.row('token requests', text(exchanges.filter(isTokenRequest).length))
  page.row('discovery requests', text(exchanges.filter(isWellKnown()).length))
  page.row('requests with token', text(authorized.length))
  page.row('time', `${seconds.toFixed(1)} s`)
}

const requestLine = ({ method, url }: Exchange): string => `${method.padEnd(5)}${url.pathname}`

const text = (value: unknown): string =>
  Array.isArray(value) ? value.join(', ') : String(value ?? 'none')

/**
 * Members as people read them: times of day instead of NumericDates, RFC 7519 §2.
 */
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
