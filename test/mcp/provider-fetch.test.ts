import { type ClientCredentialsProviderOptions, clientCredentialsProvider } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import { unauthorized } from '../servers/hostile-resource.js'
import { startScriptedServer } from '../servers/scripted-server.js'
import { redirect } from '../servers/token-responses.js'
import { closing } from './closing.ts'
import { answerAsMcp } from './scripted-mcp.ts'
import {
  type ScriptedServers,
  type ScriptedServersOptions,
  startScriptedServers,
} from './scripted-servers.ts'

const ping = { method: 'POST', body: '{"id":1,"method":"tools/list"}' }

/** Makes a provider whose clock only the test sets forward. */
function provide(
  servers: ScriptedServers,
  options: Partial<ClientCredentialsProviderOptions> = {},
) {
  let now = Date.now()
  const provider = clientCredentialsProvider({
    clientId: 'agent',
    authentication: privateKeyJwt(servers.signer),
    now: () => now,
    ...options,
  })
  const call = (init: RequestInit = ping) => provider.fetch(servers.resource.url, init)
  const pass = (seconds: number) => {
    now += seconds * 1000
  }
  return { provider, call, pass }
}

async function start(options?: ScriptedServersOptions) {
  const servers = await startScriptedServers(options)
  return { ...servers, ...provide(servers) }
}

/** A promise, and a function that fulfils it. */
function gate() {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open, opened }
}

describe('provider.fetch', () => {
  it('returns a 403 that asks for no scope, with its body', async () => {
    const { call, spent } = await start({
      answer: () => Response.json({ error: 'not yours' }, { status: 403 }),
    })
    const response = await call()
    expect([response.status, await response.json()]).toEqual([403, { error: 'not yours' }])
    expect(spent().signatures).toBe(1)
    await call()
    expect(spent()).toEqual({ signatures: 0, tokenRequests: 0, discovery: 0 })
  })

  it('lets a caller leave a discovery that others wait for', async () => {
    const { open, opened } = gate()
    const servers = await startScriptedServers()
    const discovering = gate()
    const { call } = provide(servers, {
      async fetch(input, init) {
        if (String(input).includes('/.well-known/')) {
          discovering.open()
          await opened
        }
        return fetch(input, init)
      },
    })
    const controller = new AbortController()
    const left = call({ ...ping, signal: controller.signal })
    const stayed = call()
    await discovering.opened
    const reason = new Error('the caller left')
    controller.abort(reason)
    await expect(left).rejects.toBe(reason)
    open()
    expect((await stayed).status).toBe(200)
    expect(servers.spent()).toEqual({ signatures: 1, tokenRequests: 1, discovery: 2 })
  })

  it('does not send a streamed body a second time', async () => {
    const { call, resource, signatures } = await start()
    const streamed = () =>
      ({ ...ping, body: new Blob([ping.body]).stream(), duplex: 'half' }) as RequestInit
    const refused = await call(streamed())
    expect(refused.status).toBe(401)
    expect(resource.requests.filter(({ path }) => path === '/mcp')).toHaveLength(1)
    expect((await call(streamed())).status).toBe(200)
    expect(resource.requests.at(-1)?.body).toBe(ping.body)
    expect(signatures).toHaveLength(1)
  })

  it('sends a request object again', async () => {
    const { provider, resource } = await start()
    const response = await provider.fetch(new Request(resource.url, ping))
    expect(response.status).toBe(200)
    expect(resource.requests.at(-1)?.body).toBe(ping.body)
  })

  it('follows no redirect of a metadata request that an SDK makes through it', async () => {
    const { provider, as, resource } = await start()
    const elsewhere = closing(await startScriptedServer(() => Response.json({})))
    const moved = closing(await startScriptedServer(() => redirect(elsewhere.url, 302)))
    for (const name of ['oauth-authorization-server', 'oauth-protected-resource']) {
      const response = await provider.fetch(`${moved.url}/.well-known/${name}`)
      expect(response.status).toBe(302)
    }
    expect([...as.requests, ...resource.requests, ...elsewhere.requests]).toEqual([])
  })

  it('follows no redirect of a token request that an SDK makes through it, and attaches no token', async () => {
    const { call, provider, resource } = await start()
    await call()
    const elsewhere = closing(await startScriptedServer(() => Response.json({})))
    const moved = closing(await startScriptedServer(() => redirect(elsewhere.url, 307)))
    for (const url of [`${moved.url}/token`, `${resource.url}/token`]) {
      const body = new URLSearchParams({ grant_type: 'client_credentials' })
      await provider.fetch(url, { method: 'POST', body })
    }
    expect(elsewhere.requests).toEqual([])
    expect(moved.credentials).toEqual([])
    expect(resource.requests.at(-1)?.headers.authorization).toBeUndefined()
  })

  it('discovers the authorization server again a minute after the resource refused a new token', async () => {
    const servers = await start()
    const { call, pass, move, accepted, as, spent } = servers
    await call()
    spent()
    const refused = { code: 'ERR_OAUTH_TOKEN_REFUSED', status: 401 }
    const { add } = accepted
    accepted.clear()
    accepted.add = () => accepted
    await expect(call()).rejects.toMatchObject(refused)
    expect(spent().discovery).toBe(2)
    accepted.add = add
    const other = await move()
    for (let number = 0; number < 5; number++) await expect(call()).rejects.toMatchObject(refused)
    expect(spent()).toEqual({ signatures: 0, tokenRequests: 0, discovery: 0 })
    pass(61)
    expect((await call()).status).toBe(200)
    expect(other.credentials).toHaveLength(1)
    expect(as.credentials).toHaveLength(3)
  })

  it('answers a late refusal of a token with the token that replaced it', async () => {
    const slow = gate()
    const arrived = gate()
    const { call, provider, accepted, spent } = await start({
      async answer(request, self) {
        if (request.headers['x-slow'] === undefined) return answerAsMcp(request)
        if (request.headers.authorization !== 'Bearer token-1') return answerAsMcp(request)
        arrived.open()
        await slow.opened
        return unauthorized(self)
      },
    })
    await call()
    const late = call({ ...ping, headers: { 'x-slow': 'yes' } })
    await arrived.opened
    provider.invalidateCredentials('all')
    accepted.clear()
    expect((await call()).status).toBe(200)
    spent()
    accepted.clear()
    accepted.add('token-2')
    slow.open()
    expect((await late).status).toBe(200)
    // The source of the token that was refused may renew it once, and discovers nothing again.
    expect(spent().discovery).toBe(0)
    expect((await call()).status).toBe(200)
    expect(spent()).toEqual({ signatures: 0, tokenRequests: 0, discovery: 0 })
  })

  it('follows a resource that moves while its old authorization server goes on granting tokens', async () => {
    const { call, move, spent } = await start()
    await call()
    spent()
    const other = await move()
    const responses = await Promise.all(Array.from({ length: 20 }, () => call()))
    expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([200]))
    expect(other.credentials).toHaveLength(1)
    // One at the old server, whose token is refused, and one at the new server.
    expect(spent().signatures).toBe(2)
  })

  it('goes to the pinned one of several authorization servers, wherever it stands in the list', async () => {
    const servers = await startScriptedServers()
    const other = closing(await startScriptedAuthorizationServer())
    for (const authorizationServers of [
      [servers.as.url, other.url],
      [other.url, servers.as.url],
    ]) {
      servers.claims.authorizationServers = authorizationServers
      const { call } = provide(servers, { issuer: servers.as.url })
      expect((await call()).status).toBe(200)
    }
    expect(servers.as.credentials).toHaveLength(2)
    expect(other.requests).toEqual([])
    servers.claims.authorizationServers = [other.url]
    const { call } = provide(servers, { issuer: servers.as.url })
    await expect(call()).rejects.toMatchObject({ code: 'ERR_OAUTH_ISSUER_MISMATCH' })
    expect(other.requests).toEqual([])
  })

  it('cuts a server’s text in errors, and removes characters that control a terminal', async () => {
    const servers = await startScriptedServers()
    const text = `https://as.example/\u001b[31m\u202e${'x'.repeat(50_000)}`
    servers.claims.authorizationServers = Array.from({ length: 10 }, () => text)
    const { call } = provide(servers, { issuer: servers.as.url })
    const error: unknown = await call().catch((error: unknown) => error)
    expect(error).toMatchObject({ code: 'ERR_OAUTH_ISSUER_MISMATCH' })
    const { message } = error as Error
    expect(message.length).toBeLessThan(1500)
    expect(message).toMatch(/^[\x20-\x7e…]*$/)
  })
})
