import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { localSigner } from '@countersign/local'
import { type Fetch, privateKeyJwt, tokenSource } from '@countersign/oauth'
import { decodeJwt } from 'jose'
import { EnvHttpProxyAgent, fetch, getGlobalDispatcher, setGlobalDispatcher } from 'undici'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { answerAsMcp, bearer } from '../mcp/scripted-mcp.ts'
import { type ConnectProxy, startConnectProxy, startTlsFront } from '../servers/connect-proxy.js'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import { type ScriptedServer, startScriptedServer } from '../servers/scripted-server.js'
import { tlsIdentity } from '../support/certificate.js'
import { keyPair } from '../support/key-pairs.js'
import { countersign } from './command.ts'
import { clientId, closing, writeKey } from './doctor-fixtures.ts'
import { startFixtures } from './fixtures.ts'
import { loadedPackages } from './loaded-packages.ts'

const issuer = 'https://as.example.test'
const mcp = 'https://mcp.example.test/mcp'
const identity = tlsIdentity(['as.example.test', 'mcp.example.test'])

let as: ScriptedServer
let resource: ScriptedServer
let behind: Record<string, string>
let env: Record<string, string>

/** Two servers that no name leads to but through a proxy, which is where a company's servers and the Internet are. */
beforeEach(async () => {
  as = closing(
    await startScriptedAuthorizationServer({
      metadata: {
        issuer,
        token_endpoint: `${issuer}/token`,
        authorization_endpoint: undefined,
        jwks_uri: undefined,
      },
    }),
  )
  resource = closing(
    await startScriptedServer((request) => {
      if (request.path.startsWith('/.well-known/oauth-protected-resource')) {
        return Response.json({ resource: mcp, authorization_servers: [issuer] })
      }
      if (bearer(request) !== undefined) return answerAsMcp(request)
      return new Response(null, { status: 401, headers: { 'www-authenticate': 'Bearer' } })
    }),
  )
  const [asFront, mcpFront] = await Promise.all([
    startTlsFront(as.url, identity),
    startTlsFront(resource.url, identity),
  ])
  closing(asFront)
  closing(mcpFront)
  behind = { 'as.example.test:443': asFront.url, 'mcp.example.test:443': mcpFront.url }
  const key = writeKey(String(keyPair('P-256').privateKey.export({ type: 'pkcs8', format: 'pem' })))
  const ca = join(key, '../ca.pem')
  writeFileSync(ca, identity.ca)
  env = { COUNTERSIGN_KEY: key, COUNTERSIGN_CLIENT_ID: clientId, NODE_EXTRA_CA_CERTS: ca }
})

const startProxy = async (options?: { credentials?: string }): Promise<ConnectProxy> =>
  closing(await startConnectProxy(behind, options))

const targets = ({ tunnels }: ConnectProxy) => [...new Set(tunnels.map(({ target }) => target))]

describe('with HTTPS_PROXY in the environment', () => {
  it.each([
    ['token', ['token', '--issuer', issuer], ['as.example.test:443']],
    ['token --mcp', ['token', '--mcp', mcp], ['mcp.example.test:443', 'as.example.test:443']],
    ['tools', ['tools', mcp], ['mcp.example.test:443', 'as.example.test:443']],
    ['call', ['call', mcp, 'x'], ['mcp.example.test:443', 'as.example.test:443']],
    ['doctor', ['doctor', '--mcp', mcp], ['mcp.example.test:443', 'as.example.test:443']],
  ])(
    'countersign %s reaches servers by tunnels of the proxy alone',
    async (_name, args, reached) => {
      const proxy = await startProxy()
      const ended = await countersign(args, { env: { ...env, HTTPS_PROXY: proxy.url } })
      expect(ended).toMatchObject({ code: 0, stderr: '' })
      expect(targets(proxy)).toEqual(reached)
      expect(proxy.requests).toEqual([])
      expect(decodeJwt(as.credentials[0] ?? '').aud).toBe(issuer)
    },
  )

  it.each(['https_proxy', 'HTTP_PROXY', 'http_proxy'])('%s also names the proxy', async (name) => {
    const proxy = await startProxy()
    const ended = await countersign(['token', '--issuer', issuer], {
      env: { ...env, [name]: proxy.url },
    })
    expect(ended).toMatchObject({ code: 0, stderr: '' })
    expect(targets(proxy)).toEqual(['as.example.test:443'])
  })

  it('a proxy gets its password, and no message repeats it', async () => {
    const proxy = await startProxy({ credentials: 'agent:correct horse' })
    const args = ['token', '--issuer', issuer, '--verbose']
    const withPassword = (password: string) =>
      proxy.url.replace('//', `//agent:${encodeURIComponent(password)}@`)
    const taken = await countersign(args, {
      env: { ...env, HTTPS_PROXY: withPassword('correct horse') },
    })
    expect(taken).toMatchObject({ code: 0, stderr: '' })
    const refused = await countersign(args, {
      env: { ...env, HTTPS_PROXY: withPassword('wrong horse') },
    })
    expect(refused).toMatchObject({ code: 4, stdout: '' })
    expect(refused.stderr).toMatch(/the proxy .* refuses the connection with HTTP status 407/)
    expect(refused.stderr).not.toMatch(/horse/)
  })

  it.each([
    ['a host of NO_PROXY', { NO_PROXY: 'as.example.test' }],
    ['a domain of NO_PROXY', { no_proxy: '.example.test' }],
  ])('%s is reached directly', async (_what, more) => {
    const proxy = await startProxy()
    const ended = await countersign(['token', '--issuer', issuer], {
      env: { ...env, HTTPS_PROXY: proxy.url, ...more },
    })
    // Where there is no such name.
    expect(ended.code).toBe(4)
    expect(proxy.tunnels).toEqual([])
  })

  it('loopback is reached directly', async () => {
    await using fixtures = await startFixtures()
    const proxy = await startProxy()
    const mcpUrl = fixtures.servers.mcpServer.url
    for (const args of [
      ['token', '--mcp', mcpUrl],
      ['tools', mcpUrl],
      ['doctor', '--mcp', mcpUrl],
    ]) {
      const ended = await countersign(args, {
        env: { ...fixtures.env, HTTPS_PROXY: proxy.url, HTTP_PROXY: proxy.url },
      })
      expect(ended).toMatchObject({ code: 0, stderr: '' })
    }
    expect([proxy.tunnels, proxy.requests]).toEqual([[], []])
  })

  it('a proxy that is down is named in the error, with its variable', async () => {
    const proxy = await startProxy()
    await proxy.close()
    const args = ['token', '--issuer', issuer]
    const ended = await countersign(args, { env: { ...env, HTTPS_PROXY: proxy.url } })
    expect(ended).toMatchObject({ code: 4, stdout: '' })
    expect(ended.stderr).toContain(`through the proxy ${proxy.url} (HTTPS_PROXY)`)
  })

  it.each(['proxy.example:3128', 'socks5://127.0.0.1:1080', 'nonsense'])(
    'what is not the URL of an HTTP proxy is refused: %s',
    async (value) => {
      const args = ['token', '--issuer', issuer]
      const ended = await countersign(args, { env: { ...env, HTTPS_PROXY: value } })
      expect(ended).toMatchObject({ code: 2, stdout: '' })
      expect(ended.stderr).toMatch(/HTTPS_PROXY is not the URL of an HTTP proxy; write it as http:/)
      expect(ended.stderr).not.toContain(value)
    },
  )
})

it('in code, the option fetch of a token source leads through a proxy', async () => {
  const proxy = await startProxy()
  const dispatcher = new EnvHttpProxyAgent({
    httpsProxy: proxy.url,
    requestTls: { ca: identity.ca },
  })
  const before = getGlobalDispatcher()
  setGlobalDispatcher(dispatcher)
  onTestFinished(async () => {
    setGlobalDispatcher(before)
    await dispatcher.close()
  })
  const source = tokenSource({
    issuer,
    clientId,
    authentication: privateKeyJwt(await localSigner({ key: keyPair('P-256').privateKey })),
    fetch: fetch as unknown as Fetch,
  })
  expect(await source.token()).toBe('access-token')
  expect(targets(proxy)).toEqual(['as.example.test:443'])
})

it('undici is loaded only by commands that connect, and only with a proxy', async () => {
  const proxy = await startProxy()
  const token = ['token', '--issuer', issuer]
  const withProxy = { ...env, HTTPS_PROXY: proxy.url }
  expect(await loadedPackages(token, withProxy)).toContain('undici')
  expect(await loadedPackages(['inspect'], withProxy)).not.toContain('undici')
  await using fixtures = await startFixtures()
  expect(await loadedPackages(['token'], fixtures.env)).not.toContain('undici')
})
