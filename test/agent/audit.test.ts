import { createHash } from 'node:crypto'
import {
  chmodSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { agentTokens } from '@countersign/agent/internal'
import { decodeJwt } from 'jose'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { ask, type Fixtures, name, resource, startFixtures } from './fixtures.ts'
import { startAgentProcess } from './process.ts'

let fixtures: Fixtures
beforeAll(async () => {
  fixtures = await startFixtures()
})
afterAll(() => fixtures[Symbol.asyncDispose]())

let files = 0
const newPath = () => join(fixtures.folder, `audit-${files++}.log`)

async function start(audit: object, more: object = {}) {
  fixtures.configure({ clients: { [name]: { ...fixtures.client, ...more } }, audit })
  const agent = await fixtures.start()
  onTestFinished(() => agent.close())
  return { agent, tokens: agentTokens(name, { socket: agent.socket }) }
}

interface Line {
  readonly event: string
  readonly [member: string]: unknown
}
const linesOf = (path: string): Line[] =>
  readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

test('each signature and each token is one line, and no line has a secret', async () => {
  const path = newPath()
  const { tokens } = await start({ path })
  const { client_assertion } = await tokens.assertion()
  const { access_token } = await tokens.token()
  await tokens.token()
  const { issuer } = fixtures.authorizationServer
  const { jti = '' } = decodeJwt(client_assertion)
  const [assertion, request, ...given] = linesOf(path)
  expect(assertion).toEqual({
    ...{ time: expect.stringMatching(/^\d{4}-.*Z$/), client: name, event: 'signature' },
    ...{ outcome: 'ok', kid: fixtures.kid, audience: issuer },
    jti_sha256: createHash('sha256').update(jti).digest('base64url'),
  })
  expect(request).toMatchObject({ event: 'signature', audience: issuer, outcome: 'ok' })
  const token = { time: expect.any(String), client: name, event: 'token', outcome: 'ok' }
  expect(given).toEqual([
    { ...token, audience: resource },
    { ...token, audience: resource },
  ])
  expect(statSync(path).mode & 0o777).toBe(0o600)
  const text = readFileSync(path, 'utf8')
  expect(text).not.toContain(jti)
  expect(text).not.toContain(access_token)
  expect(text).not.toContain(client_assertion.split('.')[2])
})

test('a failure is a line with its code', async () => {
  const path = newPath()
  const { tokens } = await start({ path }, { clientId: 'nobody' })
  await expect(tokens.token()).rejects.toMatchObject({ error: 'invalid_client' })
  expect(linesOf(path).at(-1)).toMatchObject({
    ...{ event: 'token', outcome: 'failed', code: 'ERR_OAUTH_RESPONSE' },
  })
})

test('the file is rotated by its size, and the oldest one is dropped', async () => {
  const path = newPath()
  const { tokens } = await start({ path, maxBytes: 1024, keep: 2 })
  for (let call = 0; call < 20; call++) await tokens.assertion()
  const names = readdirSync(fixtures.folder).filter((one) =>
    path.endsWith(one.replace(/\.\d+$|\.new$/, '')),
  )
  expect(names.sort()).toEqual(['', '.1', '.2'].map((end) => `${path.split('/').at(-1)}${end}`))
  const lines = ['.2', '.1', ''].flatMap((end) => linesOf(path + end))
  const times = lines.map(({ time }) => String(time))
  expect(times).toEqual([...times].sort())
  for (const end of ['', '.1', '.2']) {
    expect(statSync(path + end).size).toBeLessThanOrEqual(1024)
    expect(statSync(path + end).mode & 0o777).toBe(0o600)
  }
})

test.each([
  [
    'a symbolic link',
    (path: string) => symlinkSync(join(fixtures.folder, 'elsewhere'), path),
    /is a symbolic link/,
  ],
  [
    'a file that others can read',
    (path: string) => {
      writeFileSync(path, '')
      chmodSync(path, 0o644)
    },
    /with the mode 0600/,
  ],
])('%s is refused as the audit log', async (_what, prepare, message) => {
  const path = newPath()
  prepare(path)
  await expect(start({ path })).rejects.toThrow(message)
})

/** Starts an agent that can write files of 4 kB, which is as good as a full disk. */
function startOnFullDisk(onFull: string, path: string) {
  fixtures.configure({ clients: { [name]: fixtures.client }, audit: { path, onFull } })
  const args = ['--config', fixtures.config, '--socket', fixtures.socket]
  return startAgentProcess(args, { by: ['bash', '-c', 'ulimit -f 4; exec "$@"', 'bash'] })
}

test('a full disk stops signing when the configuration says so, until there is space again', async () => {
  const path = newPath()
  const agent = await startOnFullDisk('refuse', path)
  const answers = []
  for (let call = 0; call < 40; call++) {
    answers.push(await ask(fixtures.socket, `/clients/${name}/assertion`, {}))
  }
  const refused = answers.filter(({ status }) => status !== 200)
  // A line has more than 200 octets.
  expect(refused.length).toBeGreaterThan(20)
  expect(refused[0]?.json).toMatchObject({ status: 503, code: 'ERR_AGENT_AUDIT' })
  expect(refused.map(({ text }) => text).join()).not.toMatch(/ey[\w-]+\.ey/)
  const { json } = await ask(fixtures.socket, '/healthz')
  expect(json).toMatchObject({
    status: 'degraded',
    audit_error: expect.stringContaining('cannot be written'),
  })
  truncateSync(path)
  expect((await ask(fixtures.socket, `/clients/${name}/assertion`, {})).status).toBe(200)
  await agent.says('is written again')
  expect(agent.said().match(/cannot be written/g)).toHaveLength(1)
})

test('a full disk is only reported when the configuration says so', async () => {
  const path = newPath()
  const agent = await startOnFullDisk('report', path)
  for (let call = 0; call < 40; call++) {
    expect((await ask(fixtures.socket, `/clients/${name}/assertion`, {})).status).toBe(200)
  }
  await agent.says('cannot be written')
  expect(statSync(path).size).toBeLessThanOrEqual(4096)
})
