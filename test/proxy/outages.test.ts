import { generateKeyPairSync } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startAgent } from '@countersign/agent/server'
import { jwks } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { clientId, type Fixtures, startFixtures } from '../cli/fixtures.ts'
import { PAIR_SCOPE } from '../servers/pair.js'
import { until } from '../support/until.js'
import { type Json, type RawHost, startHost } from './hosts.ts'
import { type StatefulServer, startStateful } from './stateful-server.ts'

let fixtures: Fixtures
let server: StatefulServer
beforeEach(async () => {
  fixtures = await startFixtures()
  server = await startStateful(fixtures)
})
afterEach(async () => {
  await server[Symbol.asyncDispose]()
  await fixtures[Symbol.asyncDispose]()
})

const start = (): RawHost => startHost({ url: server.url, env: fixtures.env })
const callTool = (host: RawHost, name: string, args: object) =>
  host.request('tools/call', { name, arguments: args })
const textOf = (answer: Json) => answer['result']?.content[0].text
const values = (length: number) => Array.from({ length }, (_, at) => at)

test('while the authorization server is down for a minute, calls wait for as long as --timeout says, and none is lost or runs twice', async () => {
  const { authorizationServer } = fixtures.servers
  // The delay between attempts grows to a minute.
  const args = ['--timeout', '180']
  const patient = startHost({ url: server.url, env: fixtures.env, args })
  const other = start()
  await Promise.all([patient.initialize(), other.initialize()])
  await authorizationServer.close()
  server.tokens.revokeAll()
  const down = sleep(60_000)
  const waiting = values(100).map((value) => callTool(patient, 'count', { value }))
  const failed = await Promise.all(values(100).map((value) => callTool(other, 'count', { value })))
  for (const { error } of failed) {
    expect(error).toMatchObject({ code: -32000, data: { fate: 'not sent' } })
    expect(error.message).toContain('cannot be reached')
  }
  await down
  expect(server.counted).toEqual([])
  await authorizationServer.reopen()
  expect((await Promise.all(waiting)).map(textOf)).toEqual(values(100).map(String))
  expect([...server.counted].sort((one, other) => one - other)).toEqual(values(100))
  expect(textOf(await callTool(other, 'count', { value: 100 }))).toBe('100')
  for (const { said } of [patient, other]) expect(said()).toContain('waiting for it')
  const answers = [...patient.received, ...other.received].filter(
    ({ id }) => typeof id === 'number',
  )
  expect(answers).toHaveLength(203)
}, 240_000)

test('a key that is disabled and replaced in its file is loaded again', async () => {
  const host = start()
  await host.initialize()
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  writeFileSync(fixtures.key, privateKey.export({ type: 'pkcs8', format: 'pem' }))
  await fixtures.servers.authorizationServer.registerClient({
    client_id: clientId,
    token_endpoint_auth_method: 'private_key_jwt',
    jwks: jwks(await localSigner({ key: privateKey })),
  })
  server.tokens.revokeAll()
  expect(textOf(await callTool(host, 'count', { value: 1 }))).toBe('1')
  expect(server.counted).toEqual([1])
})

test('a batch of protocol version 2025-03-26 gets one answer for each request', async () => {
  const host = start()
  const { result } = await host.initialize('2025-03-26')
  expect(result.protocolVersion).toBe('2025-03-26')
  const batch = ['a', 'b'].map((id, value) => ({
    ...{ jsonrpc: '2.0', id, method: 'tools/call' },
    params: { name: 'count', arguments: { value } },
  }))
  host.send([...batch, { jsonrpc: '2.0', method: 'notifications/roots/list_changed' }])
  await until(() => ['a', 'b'].every((id) => host.answers(id).length > 0), 20)
  expect(host.answers('a').map(textOf)).toEqual(['0'])
  expect(host.answers('b').map(textOf)).toEqual(['1'])
  expect(await host.end()).toBe(0)
  expect(host.received).toHaveLength(3)
})

test('the proxy ends when the host closes its end of standard output', async () => {
  const host = start()
  await host.initialize()
  host.closeOutput()
  host.send({
    ...{ jsonrpc: '2.0', id: 'x', method: 'tools/call' },
    params: { name: 'count', arguments: { value: 1 } },
  })
  expect(await host.ended).toBe(0)
  expect(host.said()).not.toMatch(/EPIPE|at .*\.js/)
})

test('--agent authorizes with the token of a running agent', async () => {
  const config = join(fixtures.folder, 'agent.json')
  const socket = join(fixtures.folder, 'agent.sock')
  const { issuer } = fixtures.servers.authorizationServer
  const client = { key: `file://${fixtures.key}`, clientId, issuer, scopes: [PAIR_SCOPE] }
  const configuration = { clients: { billing: { ...client, resources: [server.url] } } }
  writeFileSync(config, JSON.stringify(configuration), { mode: 0o600 })
  const agent = await startAgent({ config, socket })
  onTestFinished(() => agent[Symbol.asyncDispose]())
  const env = { COUNTERSIGN_AGENT: socket }
  const host = startHost({ url: server.url, env, args: ['--agent', 'billing'] })
  await host.initialize()
  server.tokens.revokeAll()
  expect(textOf(await callTool(host, 'count', { value: 1 }))).toBe('1')
  expect(await host.end()).toBe(0)
})
