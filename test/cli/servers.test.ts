import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { jwks } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { decodeJwt } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { listenOnLoopback } from '../servers/loopback.js'
import { startScriptedServer } from '../servers/scripted-server.js'
import { startStrictAuthorizationServer } from '../servers/strict-authorization-server.js'
import { keyPair } from '../support/key-pairs.js'
import { secretsIn } from '../support/secrets.js'
import { countersign, type Ended } from './command.ts'
import { closing, startDoctorFixtures } from './doctor-fixtures.ts'
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

/** An address of this machine where nothing listens. */
async function nowhere(): Promise<string> {
  const { origin, close } = await listenOnLoopback(() => {})
  await close()
  return origin
}

/** A key that the authorization server does not know. */
function unregistered(): string {
  const path = join(fixtures.folder, 'unregistered.pem')
  const pem = keyPair('P-256').privateKey.export({ type: 'pkcs8', format: 'pem' })
  writeFileSync(path, pem, { mode: 0o600 })
  return path
}

/** Nothing of what proves who the client is. */
function expectNoSecret({ stdout, stderr }: Ended): void {
  expect(secretsIn(stdout + stderr)).toEqual([])
}

describe('countersign token', () => {
  it('gets a token for the MCP server, from the authorization server that it names', async () => {
    const args = ['token', fixtures.key, '--client-id', clientId, '--mcp', url]
    const { code, stdout, stderr } = await countersign(args)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const { issuer } = fixtures.servers.authorizationServer
    expect(decodeJwt(stdout.trim())).toMatchObject({
      iss: issuer,
      aud: url,
      client_id: clientId,
      scope: 'tools',
    })
    expect(fixtures.servers.authorizationServer.counters.token).toBe(1)
  })

  it('gets one from the authorization server of --issuer, for the resource of --resource', async () => {
    const args = ['token', '--resource', url, '--json']
    const { code, stdout, stderr } = await countersign(args, { env: fixtures.env })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const response = JSON.parse(stdout)
    expect(response).toMatchObject({ token_type: 'bearer', scope: 'tools' })
    expect(decodeJwt(response.access_token).aud).toBe(url)
  })

  it('sends no assertion to another authorization server than the one of --issuer', async () => {
    const env = {
      ...fixtures.env,
      COUNTERSIGN_ISSUER: 'https://as.example',
      COUNTERSIGN_MCP_URL: url,
    }
    const ended = await countersign(['token', '--json'], { env })
    expect(ended).toMatchObject({ code: 1, stdout: '' })
    expect(JSON.parse(ended.stderr).error).toMatchObject({ code: 'ERR_OAUTH_ISSUER_MISMATCH' })
    expect(fixtures.servers.authorizationServer.counters.token).toBe(0)
  })

  it('makes the assertion for the audience of --audience', async () => {
    const signer = await localSigner({ key: readFileSync(fixtures.key) })
    const as = await startStrictAuthorizationServer({
      clients: { [clientId]: { keys: [...jwks(signer).keys] } },
      audience: 'token endpoint',
    })
    try {
      const args = ['token', '--issuer', as.url]
      const [refused, taken] = await Promise.all([
        countersign(args, { env: fixtures.env }),
        countersign([...args, '--audience', `${as.url}/token`], { env: fixtures.env }),
      ])
      expect([refused.code, taken.code, taken.stderr]).toEqual([1, 0, ''])
      expect(decodeJwt(taken.stdout.trim())).toMatchObject({ iss: as.url, sub: clientId })
    } finally {
      await as.close()
    }
  })

  it('ends with 1 and the remedy when the key is not registered', async () => {
    const args = ['token', unregistered(), '--resource', url]
    const [plain, json] = await Promise.all([
      countersign(args, { env: fixtures.env }),
      countersign([...args, '--json'], { env: fixtures.env }),
    ])
    expect([plain.code, json.code, plain.stdout, json.stdout]).toEqual([1, 1, '', ''])
    expect(plain.stderr).toMatch(
      /^countersign: http.* refused: invalid_client.*; register the public key .*\n$/,
    )
    const { error } = JSON.parse(json.stderr)
    expect(error).toMatchObject({ code: 'ERR_OAUTH_RESPONSE', error: 'invalid_client' })
    expectNoSecret(plain)
    expectNoSecret(json)
  })

  it('ends with 4 when the authorization server cannot be reached', async () => {
    const issuer = await nowhere()
    const args = ['token', '--issuer', issuer, '--timeout', '3']
    const ended = await countersign(args, { env: fixtures.env })
    expect(ended).toMatchObject({ code: 4, stdout: '' })
    expect(ended.stderr).toMatch(
      /^countersign: The metadata at http:.* cannot be reached: nothing listens there .*\n$/,
    )
  })

  it('ends with 2 when neither an issuer nor an MCP server is given', async () => {
    const ended = await countersign(['token', fixtures.key, '--client-id', clientId])
    expect(ended).toMatchObject({ code: 2, stdout: '' })
    expect(ended.stderr).toMatch(/--issuer or --mcp is missing.*COUNTERSIGN_ISSUER/)
  })
})

describe('countersign tools', () => {
  it('lists the tools of the MCP server', async () => {
    const ended = await countersign(['tools', url, ...fixtures.options])
    expect(ended).toMatchObject({
      code: 0,
      stderr: '',
      stdout: ['whoami  Who the access token says is calling', 'add     Adds two numbers', ''].join(
        '\n',
      ),
    })
    expect(fixtures.servers.authorizationServer.counters.token).toBe(1)
  })

  it('prints what they take with --json, and knows the server by COUNTERSIGN_MCP_URL', async () => {
    const env = { ...fixtures.env, COUNTERSIGN_MCP_URL: url }
    const ended = await countersign(['tools', '--json'], { env })
    expect(ended).toMatchObject({ code: 0, stderr: '' })
    expectNoSecret(ended)
    const { tools } = JSON.parse(ended.stdout)
    expect(tools[1]).toMatchObject({ name: 'add', inputSchema: { required: ['a', 'b'] } })
  })

  it('ends with 1 and the remedy when the key is not registered', async () => {
    const ended = await countersign(['tools', url, '--key', unregistered()], { env: fixtures.env })
    expect(ended).toMatchObject({ code: 1, stdout: '' })
    expect(ended.stderr).toMatch(/ refused: invalid_client.*; register the public key .*\n$/)
    expectNoSecret(ended)
  })

  it('ends with 1 when there is no MCP server at the URL', async () => {
    const ended = await countersign(['tools', `${url}/nothing`], { env: fixtures.env })
    expect(ended).toMatchObject({ code: 1, stdout: '' })
    expect(ended.stderr).toContain(`The MCP server ${url}/nothing answered with HTTP status 404`)
    expect(ended.stderr).toMatch(/; check its URL\n$/)
  })

  it('ends with 4 when the MCP server cannot be reached', async () => {
    const ended = await countersign(['tools', `${await nowhere()}/mcp`], { env: fixtures.env })
    expect(ended).toMatchObject({ code: 4, stdout: '' })
    expect(ended.stderr).toMatch(
      /^countersign: The MCP server http:\S+\/mcp cannot be reached: nothing listens there .*\n$/,
    )
  })
})

describe('an MCP server that does not say where to get a token', () => {
  /** A server without resource metadata, whose origin publishes metadata of this issuer. */
  const startServer = async (issuer: string) =>
    closing(
      await startScriptedServer(({ path }) => {
        if (path === '/.well-known/oauth-authorization-server') {
          return Response.json({ issuer, token_endpoint: `${issuer}/token` })
        }
        return new Response(null, { status: path.startsWith('/.well-known/') ? 404 : 401 })
      }),
    )

  it.each(['tools', 'call', 'token', 'doctor'])(
    'ends countersign %s with 1 and the option to give, although its origin names an issuer',
    async (command) => {
      const server = await startServer('https://as.example')
      const mcp = `${server.url}/mcp`
      const args = { tools: [mcp], call: [mcp, 'x'] }[command] ?? ['--mcp', mcp]
      const options = ['--key', fixtures.key, '--client-id', clientId]
      const ended = await countersign([command, ...args, ...options])
      expect(ended.code).toBe(1)
      expect(ended.stdout + ended.stderr).toMatch(/(?:authorization server|issuer) with --issuer/i)
      expect(server.credentials).toEqual([])
    },
  )

  it('is used with the authorization server of --issuer', async () => {
    const server = await startServer('https://as.example')
    const { keyFile, as } = await startDoctorFixtures()
    const options = ['--key', keyFile, '--client-id', clientId, '--issuer', as.url]
    const ended = await countersign(['tools', `${server.url}/mcp`, ...options])
    expect(ended.code).toBe(1)
    expect(ended.stderr).toMatch(/answers with HTTP status 401 to the token that http:/)
  })
})

describe('--max-scope', () => {
  /** What a token was asked for when the MCP server wants two values. */
  const askedFor = async (command: string, options: string[], env: Record<string, string> = {}) => {
    const { keyFile, as, mcp } = await startDoctorFixtures({
      mcp: { scopesSupported: ['tools', 'admin'], requiredScopes: ['tools', 'admin'] },
    })
    const args = { tools: [mcp.url], call: [mcp.url, 'whoami'] }[command] ?? ['--mcp', mcp.url]
    const own = ['--key', keyFile, '--client-id', clientId]
    await countersign([command, ...args, ...own, ...options], { env })
    return as.requests.flatMap(({ path, form }) => (path === '/token' ? [form.get('scope')] : []))
  }

  it.each(['token', 'tools', 'call', 'doctor'])(
    'keeps countersign %s from asking for what the MCP server wants beyond it',
    async (command) => {
      expect(await askedFor(command, [])).toEqual(['tools admin'])
      const limited = await askedFor(command, ['--max-scope', 'tools'])
      expect(new Set(limited)).toEqual(new Set(['tools']))
      const env = { COUNTERSIGN_MAX_SCOPE: 'tools' }
      const more = await askedFor(command, ['--scope', 'audit'], env)
      expect(new Set(more)).toEqual(new Set(['audit tools']))
    },
  )
})

describe('a time limit with a fraction of a millisecond', () => {
  it.each(['2.01', '1.0005', '30.0001'])('is kept: --timeout %s', async (timeout) => {
    for (const args of [
      ['token', '--mcp', url],
      ['token', '--resource', url],
      ['tools', url],
      ['doctor', '--mcp', url],
    ]) {
      const ended = await countersign([...args, '--timeout', timeout], { env: fixtures.env })
      expect(ended).toMatchObject({ code: 0, stderr: '' })
    }
  })
})

describe('countersign call', () => {
  it('calls a tool and prints what it answers', async () => {
    const ended = await countersign(['call', url, 'whoami', ...fixtures.options])
    expect(ended).toMatchObject({ code: 0, stdout: `${clientId}\n`, stderr: '' })
  })

  it('takes arguments from the command line and from standard input', async () => {
    const [given, piped] = await Promise.all([
      countersign(['call', url, 'add', '{"a": 2, "b": 3}'], { env: fixtures.env }),
      countersign(['call', url, 'add', '-', '--json'], {
        env: fixtures.env,
        input: '{"a": 2, "b": 3}\n',
      }),
    ])
    expect(given).toMatchObject({ code: 0, stdout: '5\n' })
    expectNoSecret(piped)
    expect(JSON.parse(piped.stdout)).toMatchObject({ content: [{ type: 'text', text: '5' }] })
  })

  it.each([
    ['no JSON', '{"a": 2', /not JSON/],
    ['no object', '[2, 3]', /must be a JSON object/],
  ])('ends with 2, and asks nobody, when the arguments are %s', async (_what, json, message) => {
    const ended = await countersign(['call', url, 'add', json], { env: fixtures.env })
    expect(ended).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(message) })
    expect(fixtures.servers.mcpServer.requests).toEqual([])
  })

  it('ends with 1 when the tool refuses its arguments, and when there is no such tool', async () => {
    const [refused, unknown] = await Promise.all([
      countersign(['call', url, 'add', '{"a": "x"}'], { env: fixtures.env }),
      countersign(['call', url, 'nonsense'], { env: fixtures.env }),
    ])
    expect([refused.code, unknown.code]).toEqual([1, 1])
    expect(unknown.stdout + unknown.stderr).toContain('nonsense')
  })
})
