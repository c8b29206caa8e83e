import { decodeJwt } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { name, resource, startFixtures as startAgentFixtures } from '../agent/fixtures.ts'
import { listenOnLoopback } from '../servers/loopback.js'
import { secretsIn } from '../support/secrets.js'
import { countersign } from './command.ts'
import { clientId, type Fixtures, startFixtures } from './fixtures.ts'

let fixtures: Fixtures
let url: string
beforeAll(async () => {
  fixtures = await startFixtures()
  url = fixtures.servers.mcpServer.url
})
afterAll(() => fixtures[Symbol.asyncDispose]())
beforeEach(() => {
  fixtures.servers.authorizationServer.forget()
  fixtures.servers.mcpServer.forget()
})

/** Sends a request with the printed headers, as the host does. */
async function statusWith(headers: Record<string, string>): Promise<number> {
  const { status } = await fetch(url, {
    method: 'POST',
    headers: {
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      ...headers,
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' }),
  })
  return status
}

describe('countersign headers', () => {
  it('prints one flat object of strings with which the MCP server accepts a request', async () => {
    const args = ['headers', url, '--key', fixtures.key, '--client-id', clientId]
    const { code, stdout, stderr } = await countersign(args)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const headers = JSON.parse(stdout)
    expect(headers).toEqual({ Authorization: expect.stringMatching(/^Bearer [\w.-]+$/) })
    expect(await statusWith({})).toBe(401)
    expect(await statusWith(headers)).toBe(200)
  })

  it('takes the URL that Claude Code names, before the one of COUNTERSIGN_MCP_URL', async () => {
    const env = {
      ...fixtures.env,
      CLAUDE_CODE_MCP_SERVER_URL: url,
      COUNTERSIGN_MCP_URL: 'https://mcp.example/mcp',
    }
    const { code, stdout } = await countersign(['headers'], { env })
    expect(code).toBe(0)
    const { Authorization = '' } = JSON.parse(stdout)
    expect(decodeJwt(Authorization.replace('Bearer ', '')).aud).toBe(url)
  })

  it('does not ask the resource when issuer and resource are given', async () => {
    const args = ['headers', `${url}/files`, '--resource', url]
    const { code, stdout } = await countersign(args, { env: fixtures.env })
    expect({ code, requests: fixtures.servers.mcpServer.requests.length }).toEqual({
      code: 0,
      requests: 0,
    })
    expect(await statusWith(JSON.parse(stdout))).toBe(200)
  })

  it.each([
    ['at another origin', () => 'https://cache.example/file'],
    ['at another path', () => new URL('/other', url).href],
    ['that servers may read in different ways', () => `${url}/%2e%2e%2fother`],
  ])('requests no token for a URL %s', async (_what, outside) => {
    const args = ['headers', outside(), '--resource', url]
    const { code, stdout, stderr } = await countersign(args, { env: fixtures.env })
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain('is not within the resource')
    expect(fixtures.servers.authorizationServer.counters.token).toBe(0)
  })

  it('ends within --timeout when the server does not answer', async () => {
    await using silent = Object.assign(await listenOnLoopback(() => {}), {
      [Symbol.asyncDispose]: () => silent.close(),
    })
    const args = ['headers', `${silent.origin}/mcp`, '--timeout', '0.5']
    const { code, stdout, stderr } = await countersign(args, { env: fixtures.env })
    expect({ code, stdout }).toEqual({ code: 4, stdout: '' })
    expect(stderr).toContain('There was no answer within 0.5 s')
  })

  it('prints the headers of a running agent, for a URL that its configuration allows', async () => {
    await using agents = await startAgentFixtures()
    await using _agent = await agents.start()
    const env = { COUNTERSIGN_AGENT: agents.socket }
    const allowed = await countersign(['headers', `${resource}/42`, '--agent', name], { env })
    expect({ code: allowed.code, stderr: allowed.stderr }).toEqual({ code: 0, stderr: '' })
    const { Authorization } = JSON.parse(allowed.stdout)
    expect(decodeJwt(Authorization.replace('Bearer ', '')).aud).toBe(resource)
    const refused = await countersign(['headers', url, '--agent', name], { env })
    expect({ code: refused.code, stdout: refused.stdout }).toEqual({ code: 2, stdout: '' })
  })

  it('says what is missing without a URL', async () => {
    const { code, stderr } = await countersign(['headers'], { env: fixtures.env })
    expect(code).toBe(2)
    expect(stderr).toContain('URL of the request is missing')
  })
})

describe('countersign headers --format bazel', () => {
  const bazel = (input: string, ...more: string[]) =>
    countersign(['headers', '--format', 'bazel', ...more], { env: fixtures.env, input })

  it('answers the request on standard input, and says until when', async () => {
    const { code, stdout, stderr } = await bazel(JSON.stringify({ uri: url }), 'get')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const { headers, expires, ...rest } = JSON.parse(stdout)
    expect(rest).toEqual({})
    expect(Object.keys(headers)).toEqual(['Authorization'])
    const [authorization] = headers.Authorization
    expect(await statusWith({ Authorization: authorization })).toBe(200)
    const { exp = 0 } = decodeJwt(authorization.replace('Bearer ', ''))
    expect(expires).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    expect(Math.abs(Date.parse(expires) / 1000 - exp)).toBeLessThan(60)
  })

  it.each([
    ['not JSON', 'https://cache.example/file'],
    ['no URL in it', '{}'],
    ['null', 'null'],
    ['too long', `{"uri": "${'x'.repeat(100_000)}"}`],
    ['empty', ''],
  ])('refuses a request that is %s', async (_what, input) => {
    const { code, stdout, stderr } = await bazel(input)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain('Standard input is not a request')
    expect(secretsIn(stderr)).toEqual([])
  })

  it('refuses another command than get', async () => {
    const { code, stderr } = await bazel(JSON.stringify({ uri: url }), 'store')
    expect(code).toBe(2)
    expect(stderr).toContain('one command, get')
  })
})
