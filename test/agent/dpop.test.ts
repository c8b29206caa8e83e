import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { agentFetch } from '@countersign/agent'
import { agentTokens } from '@countersign/agent/internal'
import { startAgent } from '@countersign/agent/server'
import { localSigner } from '@countersign/local'
import { decodeJwt } from 'jose'
import { describe, expect, onTestFinished, test } from 'vitest'
import { countersign } from '../cli/command.ts'
import { startDpopServers } from '../dpop/servers.ts'
import { startServers } from '../mcp/servers.ts'
import { connectV1 } from '../proxy/hosts.ts'
import { listenOnLoopback } from '../servers/loopback.js'
import { ask } from './fixtures.ts'

const name = 'bound'

/** A folder with a key, and a function that starts an agent whose client has bound tokens. */
async function newAgent() {
  const folder = mkdtempSync(join(tmpdir(), 'cs-agent-dpop-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const file = join(folder, 'key.pem')
  writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  const socket = join(folder, 'agent.sock')
  const config = join(folder, 'agent.json')
  const audit = join(folder, 'audit.log')
  return {
    ...{ socket, config, audit },
    signer: await localSigner({ key: privateKey }),
    async start(issuer: string, resource: string, more: object = {}) {
      const client = {
        ...{ key: pathToFileURL(file).href, clientId: 'agent', issuer, resources: [resource] },
        ...{ dpop: true, ...more },
      }
      const configuration = { clients: { [name]: client }, audit: { path: audit } }
      writeFileSync(config, JSON.stringify(configuration), { mode: 0o600 })
      const agent = await startAgent({ config, socket })
      onTestFinished(() => agent.close())
    },
  }
}

async function startBoth(dpop: 'supported' | 'nonce' = 'supported') {
  const agent = await newAgent()
  const servers = await startDpopServers(dpop, { signer: agent.signer })
  await agent.start(servers.as.issuer, servers.url)
  return { ...agent, ...servers, fetch: agentFetch(name, { socket: agent.socket }) }
}

describe('agentFetch', () => {
  test('sends bound tokens with a proof for each request, and one token serves all', async () => {
    const { fetch, url, resource, as } = await startBoth('nonce')
    resource.requireNonce('first')
    for (const method of ['GET', 'POST', 'DELETE']) {
      const response = await fetch(`${url}/a?b`, { method })
      expect({ method, status: response.status, text: await response.text() }).toEqual({
        ...{ method, status: 200, text: 'welcome' },
      })
    }
    expect(resource.proofs).toHaveLength(3)
    // One token request, and one more for the nonce of the authorization server.
    expect(as.counters.token).toBe(2)
  })

  test('answers a new nonce, and then a revoked token, in one call', async () => {
    const { fetch, url, resource, as } = await startBoth()
    expect((await fetch(url)).status).toBe(200)
    resource.revokeAll()
    expect((await fetch(url)).status).toBe(200)
    expect(as.counters.token).toBe(2)
    resource.requireNonce('of-a-restarted-server')
    expect((await fetch(url, { method: 'POST', body: 'x' })).status).toBe(200)
    resource.offerNonce('next')
    expect((await fetch(url)).status).toBe(200)
    expect((await fetch(url)).status).toBe(200)
    expect(as.counters.token).toBe(2)
  })
})

test('after a redirect, agentFetch makes another proof, and sends nothing to another origin', async () => {
  const { fetch, url, resource } = await startBoth()
  const redirect = (to: string) => fetch(`${url}/redirect`, { headers: { 'x-redirect-to': to } })
  expect((await redirect(`${url}/b`)).status).toBe(200)
  expect(resource.proofs).toHaveLength(1)
  const seen: unknown[] = []
  const other = await listenOnLoopback(({ headers }, response) => {
    seen.push(headers.authorization, headers['dpop'])
    response.end('other')
  })
  onTestFinished(() => other.close())
  expect(await (await redirect(other.origin)).text()).toBe('other')
  expect(seen).toEqual([undefined, undefined])
})

describe('the agent', () => {
  test('makes a proof for what the caller sends, and for nothing else', async () => {
    const { socket, url, resource, audit, as } = await startBoth()
    const { json: token } = await ask(socket, `/clients/${name}/token`, {})
    expect(token).toMatchObject({ token_type: 'DPoP' })
    const access_token = String(token['access_token'])
    const path = `/clients/${name}/dpop-proof`
    const { json, status } = await ask(socket, path, {
      htm: 'PUT',
      htu: `${url}/a?b=c`,
      access_token,
    })
    expect(status).toBe(200)
    const headers = new Headers({
      authorization: `DPoP ${access_token}`,
      dpop: String(json['dpop_proof']),
    })
    const sent = { method: 'PUT', url: `${url}/a?b=c`, headers }
    expect((await resource.answer(sent)).status).toBe(200)
    expect((await resource.answer(sent)).status).toBe(401)
    expect((await resource.answer({ ...sent, method: 'GET' })).status).toBe(401)

    const elsewhere = [
      `${new URL(url).origin}/other`,
      'https://evil.example/api',
      as.metadata.token_endpoint,
    ]
    for (const htu of elsewhere) {
      const refused = await ask(socket, path, { htm: 'GET', htu, access_token })
      expect(refused).toMatchObject({ status: 403, json: { code: 'ERR_AGENT_NOT_ALLOWED' } })
    }
    const malformed = [
      { htm: 'GET', htu: url },
      { htm: 'GET /', htu: url, access_token },
      { htm: 'GET', htu: 'x', access_token },
      { htm: 'GET', htu: url, access_token: 'a b' },
      { htm: 'GET', htu: url, access_token, nonce: 'a"b' },
      { htm: 'GET', htu: url, access_token, claims: {} },
    ]
    for (const body of malformed) {
      expect(await ask(socket, path, body)).toMatchObject({ status: 400 })
    }
    const log = readFileSync(audit, 'utf8').trim().split('\n')
    expect(log.map((line) => JSON.parse(line).event)).toEqual(['signature', 'token', 'proof'])
    expect(log.join()).not.toMatch(/ey[\w-]+\./)
    const { json: clients } = await ask(socket, '/clients')
    const { cnf } = decodeJwt<{ cnf: { jkt: string } }>(access_token)
    expect(clients).toMatchObject({ clients: [{ dpop_jkt: cnf.jkt }] })
    expect((await ask(socket, '/metrics')).text).toMatch(
      /countersign_signature_duration_seconds_count\{.*backend="dpop".*\} 2\n/,
    )
  })

  test('gives no headers without the method, and no proof for a client without DPoP', async () => {
    const { socket, url } = await startBoth()
    const refused = await ask(socket, `/clients/${name}/headers`, { url })
    expect(refused).toMatchObject({
      status: 400,
      json: { detail: expect.stringContaining('add "method"') },
    })
    const plain = await newAgent()
    const servers = await startDpopServers('off', { signer: plain.signer })
    await plain.start(servers.as.issuer, servers.url, { dpop: false })
    const request = { htm: 'GET', htu: servers.url, access_token: 'x' }
    const answer = await ask(plain.socket, `/clients/${name}/dpop-proof`, request)
    expect(answer).toMatchObject({
      status: 403,
      json: { detail: expect.stringContaining('set "dpop": true') },
    })
  })

  test('refuses a bearer token for a client with DPoP', async () => {
    const agent = await newAgent()
    const servers = await startDpopServers('off', { signer: agent.signer })
    await agent.start(servers.as.issuer, servers.url)
    await expect(agentTokens(name, { socket: agent.socket }).token()).rejects.toMatchObject({
      code: 'ERR_OAUTH_TOKEN_TYPE',
    })
  })
})

test('countersign headers and proxy use the bound tokens of an agent', async () => {
  const agent = await newAgent()
  const { as, mcp } = await startServers({ signer: agent.signer, dpop: 'nonce' })
  await agent.start(as.issuer, mcp.url, { scopes: ['use'] })
  const env = { COUNTERSIGN_AGENT: agent.socket }
  const args = ['headers', mcp.url, '--agent', name, '--method', 'POST']
  const { code, stdout } = await countersign(args, { env })
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toEqual({
    Authorization: expect.stringMatching(/^DPoP ey/),
    DPoP: expect.stringMatching(/^ey/),
  })
  const client = await connectV1({ url: mcp.url, env, args: ['--agent', name] })
  expect(await client.callTool({ name: 'whoami' })).toMatchObject({ content: [{ text: 'agent' }] })
  expect(new Set(mcp.dpop.proofs).size).toBe(mcp.dpop.proofs.length)
  const check = await countersign(['agent', '--check', '--config', agent.config])
  expect(check.stdout).toContain('token binding')
  expect(check.code).toBe(0)
}, 60_000)
