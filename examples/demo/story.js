// @ts-check
import { jwks } from '@countersign/core'
import { challengeOf, findExchange, isWellKnown, members, partsOf } from './wire.js'

/**
 * @typedef {object} Happening
 * @property {string} clientId
 * @property {import('@countersign/core').Signer} signer
 * @property {string} issuer
 * @property {string} mcpUrl
 * @property {readonly import('./observe.js').Exchange[]} exchanges  as the client saw them
 * @property {readonly TokenRequest[]} tokenRequests  as the authorization server saw them
 * @property {readonly string[]} tools
 * @property {string} answer  of the tool `whoami`
 * @property {readonly import('@countersign/core').SignMessage[]} signatures
 * @property {number} seconds  that all of it took
 */

/**
 * @typedef {object} TokenRequest
 * @property {Readonly<Record<string, unknown>>} form
 * @property {{ header: object, claims: object } | undefined} assertion
 */

/** @typedef {ReturnType<typeof import('./page.js').openPage>} Page */

/** What is shown of an access token. */
const redacted = 'eyJ…(redacted)'

/**
 * Tells step by step what went over the wire. Of the assertion it shows what was signed and not the
 * signature, of the access token its claims.
 *
 * @param {Page} page
 * @param {Happening} happening
 */
export function tellStory(page, happening) {
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

/**
 * @param {Page} page
 * @param {Happening} happening
 */
function tellOfKey(page, { clientId, signer }) {
  const { keys } = jwks(signer)
  page.step(1, 'A key is made, and its public half registered', 'RFC 7517')
  page.row('key', `${signer.alg}, made for this run, never written down`)
  page.row('kid', signer.kid)
  page.row('JWKS', `${keys.length} key: ${keys.flatMap(Object.keys).join(', ')}`)
  page.row('client', `${clientId}, to authenticate by private_key_jwt`)
}

/**
 * @param {Page} page
 * @param {Happening} happening
 */
function tellOfDiscovery(page, { exchanges }) {
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

/**
 * @param {Page} page
 * @param {Happening} happening
 */
function tellOfToken(page, { exchanges, tokenRequests }) {
  const { form, assertion } = tokenRequests[0] ?? { form: {}, assertion: undefined }
  const granted = findExchange(
    exchanges,
    'token request',
    ({ method, url }) => method === 'POST' && url.pathname === '/token',
  )
  page.step(4, 'The client signs an assertion for this one request', 'RFC 7523')
  page.exchange(requestLine(granted))
  show(page, form, ['grant_type', 'resource', 'scope'])
  page.table('assertion, header', readable(members(assertion?.header)))
  page.table('assertion, claims', readable(members(assertion?.claims)))
  const { signatureWidth } = partsOf(form['client_assertion'])
  page.row('assertion, signature', `${signatureWidth} octets, not shown`)

  const answer = members(granted.body)
  const token = partsOf(answer['access_token']).claims
  page.step(5, 'The authorization server answers with an access token', 'RFC 6749')
  page.exchange(requestLine(granted), granted.status)
  show(page, answer, ['token_type', 'expires_in'])
  page.row('access_token', redacted)
  const { iss, aud, client_id, scope, iat, exp } = token
  page.table('access_token, claims', readable({ iss, aud, client_id, scope, iat, exp }))
}

/**
 * @param {Page} page
 * @param {Happening} happening
 */
function tellOfTool(page, { exchanges, tokenRequests, tools, answer, signatures, seconds }) {
  const authorized = exchanges.filter(({ bearer }) => bearer)
  const call = findExchange([...authorized].reverse(), 'call', ({ method }) => method === 'POST')
  page.step(6, 'With the token, the client calls a tool', 'MCP')
  page.exchange(`${requestLine(call)}   Authorization: Bearer ${redacted}`, call.status)
  page.row('tools', tools.join(', '))
  page.row('whoami answers', answer, 'green')

  const signing = signatures.reduce((sum, { durationSeconds }) => sum + durationSeconds, 0)
  page.step(7, 'What it took')
  page.row('signatures', `${signatures.length}, in ${(signing * 1000).toFixed(1)} ms`)
  page.row('token requests', text(tokenRequests.length))
  page.row('discovery requests', text(exchanges.filter(isWellKnown()).length))
  page.row('requests with token', text(authorized.length))
  page.row('time', `${seconds.toFixed(1)} s`)
}

/** @param {import('./observe.js').Exchange} exchange */
const requestLine = ({ method, url }) => `${method.padEnd(5)}${url.pathname}`

/** @param {unknown} value */
const text = (value) => (Array.isArray(value) ? value.join(', ') : String(value ?? 'none'))

/**
 * Members as people read them: times of day instead of NumericDates, RFC 7519 §2.
 *
 * @param {Readonly<Record<string, unknown>>} object
 */
function readable(object) {
  const { iat, exp } = object
  const lifetime = `${Number(exp) - Number(iat)} s after iat`
  return Object.fromEntries(
    Object.entries(object).map(([name, value]) => {
      if (name === 'iat') return [name, clock(value)]
      if (name === 'exp') return [name, `${clock(value)}, ${lifetime}`]
      return [name, text(value)]
    }),
  )
}

/** @param {unknown} seconds */
const clock = (seconds) => `${new Date(Number(seconds) * 1000).toISOString().slice(11, 19)} UTC`

/**
 * @param {Page} page
 * @param {Readonly<Record<string, unknown>>} object
 * @param {readonly string[]} names
 */
function show(page, object, names) {
  for (const name of names) page.row(name, text(object[name]))
}
