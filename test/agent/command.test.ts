import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { decodeJwt } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { countersign } from '../cli/command.ts'
import {
  ask,
  clientId,
  type Fixtures,
  name,
  resource,
  startFixtures,
  writeKey,
} from './fixtures.ts'
import { startAgentProcess } from './process.ts'

let fixtures: Fixtures
beforeAll(async () => {
  fixtures = await startFixtures()
})
afterAll(() => fixtures[Symbol.asyncDispose]())
beforeEach(() => fixtures.configure({ clients: { [name]: fixtures.client } }))

const start = () => startAgentProcess(['--config', fixtures.config, '--socket', fixtures.socket])
const env = () => ({ COUNTERSIGN_AGENT: fixtures.socket })

describe('countersign agent', () => {
  test('serves token and assertion of the command until SIGTERM, which removes the socket', async () => {
    const agent = await start()
    expect(statSync(fixtures.socket).mode & 0o777).toBe(0o600)
    fixtures.authorizationServer.forget()
    const tokens = await Promise.all(
      [
        ['token', '--agent', name],
        ['token', '--agent'],
        ['token', '--agent', name, '--json'],
      ].map((args) => countersign(args, { env: env() })),
    )
    expect(tokens.map(({ code, stderr }) => [code, stderr])).toEqual(tokens.map(() => [0, '']))
    const { access_token, ...rest } = JSON.parse(tokens[2]?.stdout ?? '')
    expect(rest).toMatchObject({ resource, scope: 'read write' })
    expect(tokens.slice(0, 2).map(({ stdout }) => stdout)).toEqual([
      `${access_token}\n`,
      `${access_token}\n`,
    ])
    expect(fixtures.authorizationServer.counters.token).toBe(1)

    const { stdout } = await countersign(['assertion', '--agent', name, '--form'], { env: env() })
    const assertion = new URLSearchParams(stdout.trim()).get('client_assertion') ?? ''
    expect(decodeJwt(assertion)).toMatchObject({ sub: clientId })
    expect(await agent.end()).toBe(0)
    expect(agent.said()).toBe('')
    expect(existsSync(fixtures.socket)).toBe(false)
  })

  test('an audience that is not configured ends with 2, an agent that is not there with 4', async () => {
    await start()
    const asked = ['assertion', '--agent', name, '--audience', 'https://evil.example']
    const refused = await countersign(asked, { env: env() })
    expect(refused).toMatchObject({ code: 2, stdout: '' })
    expect(refused.stderr).toMatch(/has no such audience; name the issuer, or add the audience/)
    const missing = { COUNTERSIGN_AGENT: join(fixtures.folder, 'missing.sock') }
    const unreachable = await countersign(['token', '--agent'], { env: missing })
    expect(unreachable.code).toBe(4)
    expect(unreachable.stderr).toMatch(/start it with "countersign agent"/)
  })

  test.each([
    ['token', '--key', 'key.pem'],
    ['token', 'key.pem'],
    ['assertion', '--key', 'key.pem'],
    ['headers', 'https://mcp.example.com/mcp', '--key', 'key.pem'],
    ['proxy', 'https://mcp.example.com/mcp', '--key', 'key.pem'],
  ])('--agent is refused together with a key: %s %s %s', async (...args) => {
    const { code, stderr } = await countersign([...args, '--agent', name])
    expect(code).toBe(2)
    expect(stderr).toContain('A key and --agent were given; leave one of them out')
  })

  test('a second agent on the same socket says which process listens there', async () => {
    const { pid } = await start()
    const args = ['agent', '--config', fixtures.config, '--socket', fixtures.socket]
    const second = await countersign(args)
    expect(second.code).toBe(2)
    expect(second.stderr).toContain(`The agent with the process ID ${pid} listens on`)
    expect((await ask(fixtures.socket, '/healthz')).json['pid']).toBe(pid)
  })

  test('a configuration that is wrong ends with 2, and names the member', async () => {
    fixtures.configure({ clients: { [name]: { ...fixtures.client, pin: '1234', clientId: 7 } } })
    const { code, stderr } = await countersign(['agent', '--config', fixtures.config])
    expect(code).toBe(2)
    expect(stderr).toContain('/clients/billing must not have the member "pin"')
    expect(stderr).toContain('/clients/billing/clientId must be string')
    expect(stderr).not.toContain('1234')
  })

  test('a key that is missing ends with 3', async () => {
    const key = `file://${join(fixtures.folder, 'missing.pem')}`
    fixtures.configure({ clients: { [name]: { ...fixtures.client, key } } })
    const { code, stderr } = await countersign(['agent', '--config', fixtures.config])
    expect(code).toBe(3)
    expect(stderr).toMatch(/The key of the client "billing" cannot be opened: .*does not exist/)
  })

  test('SIGHUP reads the file again; a broken one is reported, and the clients in use stay', async () => {
    const agent = await start()
    fixtures.configure({ clients: { [name]: fixtures.client, other: fixtures.client } })
    agent.child.kill('SIGHUP')
    await expect
      .poll(async () => (await ask(fixtures.socket, '/clients/other/token', {})).status)
      .toBe(200)
    fixtures.configure({ clients: {} })
    await agent.says('the configuration in use stays')
    const { json } = await ask(fixtures.socket, '/healthz')
    expect(json).toMatchObject({
      status: 'degraded',
      configuration: { error: expect.stringContaining('/clients must NOT have fewer') },
    })
    expect((await ask(fixtures.socket, '/clients/other/token', {})).status).toBe(200)
    fixtures.configure({ clients: { [name]: fixtures.client } })
    await agent.says('is in use')
    expect((await ask(fixtures.socket, '/clients/other/token', {})).status).toBe(404)
  })

  test('--check runs the doctor for each client', async () => {
    const { uri } = await writeKey(join(fixtures.folder, 'unknown.pem'))
    const args = ['agent', '--check', '--config', fixtures.config]
    const good = await countersign(args)
    expect(good).toMatchObject({ code: 0, stderr: '' })
    expect(good.stdout).toMatch(/^billing\n/)
    expect(good.stdout).toMatch(/✓ token audience/)
    fixtures.configure({
      clients: { [name]: fixtures.client, other: { ...fixtures.client, key: uri } },
    })
    const bad = await countersign([...args, '--json'])
    expect(bad.code).toBe(1)
    const [first, second] = JSON.parse(bad.stdout)
    expect(first.steps.map(({ state }: { state: string }) => state)).not.toContain('failed')
    expect(second).toMatchObject({ client: 'other' })
    expect(second.steps).toContainEqual(expect.objectContaining({ name: 'token', state: 'failed' }))
  })
})
