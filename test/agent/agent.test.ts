import { createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { AgentError, agentAssertion, agentFetch } from '@countersign/agent'
import { agentTokens } from '@countersign/agent/internal'
import { externalAssertion, tokenSource } from '@countersign/oauth'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { decodeJwt, jwtVerify } from 'jose'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { listenOnLoopback } from '../servers/loopback.js'
import {
  ask,
  clientId,
  type Fixtures,
  name,
  resource,
  scopes,
  startFixtures,
  writeKey,
} from './fixtures.ts'

let fixtures: Fixtures
beforeAll(async () => {
  fixtures = await startFixtures()
})
afterAll(() => fixtures[Symbol.asyncDispose]())

async function start(configuration?: unknown) {
  fixtures.configure(configuration ?? { clients: { [name]: fixtures.client } })
  fixtures.authorizationServer.forget()
  const agent = await fixtures.start()
  onTestFinished(() => agent.close())
  return agent
}

const openapi = JSON.parse(
  readFileSync(new URL('../../packages/agent/openapi.json', import.meta.url), 'utf8'),
)
const ajv = new Ajv2020({ strict: false, formats: { 'date-time': true } }).addSchema(openapi, 'api')

/** Checks an answer against the OpenAPI description. */
function expectAs(schema: string, value: unknown): void {
  const validate = ajv.compile({ $ref: `api#/components/schemas/${schema}` })
  expect(validate(value), JSON.stringify(validate.errors)).toBe(true)
}

test('each answer is as the OpenAPI description says', async () => {
  const { socket } = await start()
  const token = await ask(socket, `/clients/${name}/token`, {})
  expectAs('Token', token.json)
  expect(token.headers['cache-control']).toBe('no-store')
  expectAs('Assertion', (await ask(socket, `/clients/${name}/assertion`, {})).json)
  const url = `${resource}/42`
  expectAs('Headers', (await ask(socket, `/clients/${name}/headers`, { url })).json)
  const { json: listed } = await ask(socket, '/clients')
  expectAs('Clients', listed)
  expect(listed).toMatchObject({ clients: [{ name, client_id: clientId, kid: fixtures.kid }] })
  const { json: health } = await ask(socket, '/healthz')
  expectAs('Health', health)
  expect(health).toMatchObject({ status: 'ok', pid: process.pid })
  expect((await ask(socket, '/openapi.json')).json).toEqual(openapi)
})

test.each([
  ['an unknown client', '/clients/nobody/token', {}, 404, 'ERR_AGENT_CLIENT'],
  [
    'an audience',
    `/clients/${name}/assertion`,
    { audience: 'https://evil.example' },
    403,
    'ERR_AGENT_NOT_ALLOWED',
  ],
  ['a scope', `/clients/${name}/token`, { scope: 'read admin' }, 403, 'ERR_AGENT_NOT_ALLOWED'],
  [
    'a resource',
    `/clients/${name}/token`,
    { resource: 'https://evil.example' },
    403,
    'ERR_AGENT_NOT_ALLOWED',
  ],
  [
    'a URL outside',
    `/clients/${name}/headers`,
    { url: 'https://api.example.com/invoices2' },
    403,
    'ERR_AGENT_NOT_ALLOWED',
  ],
  [
    'a key',
    `/clients/${name}/assertion`,
    { key: 'file:///etc/other.pem' },
    400,
    'ERR_AGENT_REQUEST',
  ],
  [
    'an issuer',
    `/clients/${name}/token`,
    { issuer: 'https://evil.example' },
    400,
    'ERR_AGENT_REQUEST',
  ],
  ['text that is not JSON', `/clients/${name}/token`, '{"scope": ', 400, 'ERR_AGENT_REQUEST'],
  ['an array', `/clients/${name}/token`, [], 400, 'ERR_AGENT_REQUEST'],
  [
    'a body of 100 kB',
    `/clients/${name}/token`,
    { scope: 'r'.repeat(100_000) },
    413,
    'ERR_AGENT_REQUEST',
  ],
  ['another path', '/token', {}, 404, 'ERR_AGENT_REQUEST'],
])(
  '%s that is not configured is refused with a problem document',
  async (_what, path, body, status, code) => {
    const { socket } = await start()
    const answer = await ask(socket, path, body)
    expect(answer.json).toMatchObject({ status, code })
    expect(answer.status).toBe(status)
    expect(answer.headers['content-type']).toBe('application/problem+json')
    expectAs('Problem', answer.json)
    expect(fixtures.authorizationServer.counters.token).toBe(0)
  },
)

test('a body that is not declared as JSON is refused', async () => {
  const { socket } = await start()
  const headers = { 'content-type': 'text/plain' }
  const answer = await ask(socket, `/clients/${name}/token`, '{}', headers)
  expect(answer.json).toMatchObject({ status: 415, code: 'ERR_AGENT_REQUEST' })
})

test('the authorization server accepts the assertions, each of which is a new one', async () => {
  const { socket } = await start()
  const { issuer } = fixtures.authorizationServer
  const assert = agentAssertion(name, { socket })
  const [one, other] = [decodeJwt(await assert(issuer)), decodeJwt(await assert(issuer))]
  expect(one).toMatchObject({ iss: clientId, sub: clientId, aud: issuer })
  expect(one.jti).not.toBe(other.jti)
  const source = tokenSource({ issuer, clientId, authentication: externalAssertion(assert) })
  expect(await source.token()).toMatch(/^\S+$/)
})

test('the audience rule and further audiences decide the aud of an assertion', async () => {
  const { issuer, metadata } = fixtures.authorizationServer
  const further = 'https://login.example.com/tenant'
  const client = {
    ...fixtures.client,
    audience: 'token_endpoint',
    audiences: [further],
    typ: 'JWT',
  }
  const { socket } = await start({ clients: { [name]: client } })
  const assert = agentAssertion(name, { socket })
  expect(decodeJwt(await assert(issuer)).aud).toBe(metadata.token_endpoint)
  expect(decodeJwt(await assert(metadata.token_endpoint)).aud).toBe(metadata.token_endpoint)
  expect(decodeJwt(await assert(further)).aud).toBe(further)
  await expect(assert('https://login.example.com')).rejects.toMatchObject({
    code: 'ERR_AGENT_NOT_ALLOWED',
    status: 403,
  })
})

test('1,000 callers that ask at once cost one signature', async () => {
  const { socket } = await start()
  const tokens = agentTokens(name, { socket })
  const all = await Promise.all(Array.from({ length: 1000 }, () => tokens.token()))
  expect(new Set(all.map(({ access_token }) => access_token)).size).toBe(1)
  expect(fixtures.authorizationServer.counters.token).toBe(1)
  const { text } = await ask(socket, '/metrics')
  expect(text).toContain(`countersign_agent_tokens_total{client="${name}",cached="true"} 999`)
  expect(text).toContain(`countersign_agent_tokens_total{client="${name}",cached="false"} 1`)
  // The trial signature, and that of the token request.
  expect(text).toMatch(
    /countersign_signature_duration_seconds_count\{[^}]*outcome="signed"[^}]*\} 2\n/,
  )
  expect(text).toMatch(/countersign_token_request_duration_seconds_count\{[^}]*outcome="granted"/)
  expect(text).toMatch(
    /countersign_agent_request_duration_seconds_count\{operation="token",status="200"\} 1000\n/,
  )
})

test('a token has the resource and the scope that the request names', async () => {
  const { socket } = await start()
  const tokens = agentTokens(name, { socket })
  const { access_token, ...rest } = await tokens.token({ scope: 'write' })
  expect(rest).toMatchObject({ scope: 'write', token_type: 'Bearer', resource })
  expect(decodeJwt(access_token)).toMatchObject({ scope: 'write', aud: resource })
  expect((await tokens.token()).scope).toBe(scopes.join(' '))
  // Another order is the same token.
  expect((await tokens.token({ scope: 'write read' })).scope).toBe(scopes.join(' '))
  expect(fixtures.authorizationServer.counters.token).toBe(2)
})

test('a refusal of the authorization server is passed on, without the assertion', async () => {
  const { uri } = await writeKey(join(fixtures.folder, 'other.pem'))
  const { socket } = await start({ clients: { [name]: { ...fixtures.client, key: uri } } })
  const answer = await ask(socket, `/clients/${name}/token`, {})
  expect(answer.json).toMatchObject({
    ...{ status: 502, code: 'ERR_OAUTH_RESPONSE', error: 'invalid_client', retryable: false },
  })
  expectAs('Problem', answer.json)
  expect(answer.text).not.toMatch(/ey[\w-]+\.[\w-]+\.[\w-]+/)
  const error = await agentTokens(name, { socket })
    .token()
    .catch((reason: unknown) => reason)
  expect(AgentError.is(error) && error.error).toBe('invalid_client')
})

test('agentFetch sends the token to the resource, and another one after a 401', async () => {
  const seen: (string | undefined)[] = []
  let refuse = true
  const api = await listenOnLoopback((request, response) => {
    seen.push(request.headers.authorization)
    if (request.url === '/out') response.writeHead(302, { location: '/elsewhere' }).end()
    else response.writeHead(refuse && request.url === '/v1/refuse' ? 401 : 200).end('ok')
    if (request.url === '/v1/refuse') refuse = false
  })
  onTestFinished(() => api.close())
  const url = `${api.origin}/v1`
  fixtures.authorizationServer.registerResource(url, scopes)
  const { socket } = await start({ clients: { [name]: { ...fixtures.client, resources: [url] } } })
  const fetch = agentFetch(name, { socket })
  expect((await fetch(`${url}/a`)).status).toBe(200)
  expect((await fetch(`${url}/refuse`, { method: 'POST', body: 'x' })).status).toBe(200)
  const [first, refused, again] = seen
  expect(first).toMatch(/^Bearer \S+$/)
  expect(refused).toBe(first)
  expect(again).toMatch(/^Bearer \S+$/)
  expect(again).not.toBe(first)
  expect(fixtures.authorizationServer.counters.token).toBe(2)
  await expect(fetch(`${api.origin}/out`)).rejects.toMatchObject({ code: 'ERR_AGENT_NOT_ALLOWED' })
  expect(seen).toHaveLength(3)
})

test('agentFetch says which scope the configuration lacks', async () => {
  const api = await listenOnLoopback((request, response) => {
    const challenge =
      request.url === '/v1/admin' ? 'Bearer error="insufficient_scope", scope="admin"' : 'Basic'
    response.writeHead(403, { 'www-authenticate': challenge }).end()
  })
  onTestFinished(() => api.close())
  const url = `${api.origin}/v1`
  fixtures.authorizationServer.registerResource(url, scopes)
  const { socket } = await start({ clients: { [name]: { ...fixtures.client, resources: [url] } } })
  const fetch = agentFetch(name, { socket })
  await expect(fetch(`${url}/admin`)).rejects.toMatchObject({
    code: 'ERR_AGENT_SCOPE',
    message: expect.stringContaining('the scope "admin"; add it to "scopes"'),
  })
  expect((await fetch(`${url}/other`)).status).toBe(403)
  expect(fixtures.authorizationServer.counters.token).toBe(1)
})

test('a token that was refused is discarded only while it is the cached one', async () => {
  const { socket } = await start()
  const tokens = agentTokens(name, { socket })
  const { access_token: first } = await tokens.token()
  await tokens.token({ refusedToken: 'of somebody else' })
  expect(fixtures.authorizationServer.counters.token).toBe(1)
  const { access_token: second } = await tokens.token({ refusedToken: first })
  expect(second).not.toBe(first)
  expect((await tokens.token({ refusedToken: first })).access_token).toBe(second)
  expect(fixtures.authorizationServer.counters.token).toBe(2)
})

test('a caller that refuses each token does not cause a token request at each call', async () => {
  const { socket } = await start()
  const tokens = agentTokens(name, { socket })
  let refusedToken: string | undefined
  for (let call = 0; call < 20; call++) {
    refusedToken = (await tokens.token({ refusedToken })).access_token
  }
  // The first token, and ten that were renewed at once.
  expect(fixtures.authorizationServer.counters.token).toBe(11)
})

test('a client without an agent says how to start one', async () => {
  const socket = join(fixtures.folder, 'missing.sock')
  await expect(agentTokens(name, { socket }).token()).rejects.toThrow(
    /cannot be reached at ".*missing\.sock" \(ENOENT\); start it with "countersign agent"/,
  )
})

test('the key ID and the signature of an assertion are those of the key', async () => {
  const { socket } = await start()
  const { client_assertion } = await agentTokens(name, { socket }).assertion()
  const publicKey = createPublicKey(readFileSync(new URL(fixtures.key)))
  const { protectedHeader } = await jwtVerify(client_assertion, publicKey)
  expect(protectedHeader).toMatchObject({ kid: fixtures.kid, typ: 'client-authentication+jwt' })
})
