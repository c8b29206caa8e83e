import { writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { agentTokens } from '@countersign/agent/internal'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { type Fixtures, name, startFixtures } from './fixtures.ts'

let fixtures: Fixtures
beforeAll(async () => {
  fixtures = await startFixtures()
})
afterAll(() => fixtures[Symbol.asyncDispose]())

/** A port that was free a moment ago. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' ? (address?.port ?? 0) : 0))
    })
  })
}

const secret = 'correct horse battery staple'

async function start(how: object) {
  const listen = `127.0.0.1:${await freePort()}`
  const secretFile = join(fixtures.folder, 'secret')
  writeFileSync(secretFile, `${secret}\n`, { mode: 0o600 })
  fixtures.configure({
    clients: { [name]: fixtures.client },
    sidecar: { listen, ...('anyLocalUser' in how ? {} : { secretFile }), ...how },
  })
  const agent = await fixtures.start()
  onTestFinished(() => agent.close())
  const get = (path: string, headers: Record<string, string>) =>
    new Promise<{ readonly status: number | undefined; readonly text: string }>(
      (resolve, reject) => {
        const sent = request(`http://${listen}${path}`, { headers, agent: false }, (response) => {
          let text = ''
          response.setEncoding('utf8').on('data', (chunk) => {
            text += chunk
          })
          response.on('end', () => resolve({ status: response.statusCode, text }))
        })
        sent.on('error', reject)
        sent.setTimeout(20_000, () => sent.destroy(new Error('no answer in 20 s')))
        sent.end()
      },
    )
  return { agent, get, listen }
}

const authorization = { authorization: `Bearer ${secret}` }
const path = `/AuthorizationHeaderUnauthenticated/${name}`

test('the listener answers as the sidecar of Entra does, with the token that all share', async () => {
  const { agent, get } = await start({})
  const { status, text } = await get(path, authorization)
  expect(status).toBe(200)
  const { access_token } = await agentTokens(name, { socket: agent.socket }).token()
  expect(JSON.parse(text)).toEqual({ authorizationHeader: `Bearer ${access_token}` })
  expect((await get('/healthz', {})).status).toBe(200)
})

test.each([
  ['without the secret', path, {}, 401],
  ['with another secret', path, { authorization: 'Bearer wrong' }, 401],
  ['of a web page', path, { ...authorization, origin: 'https://evil.example' }, 403],
  ['for another host', path, { ...authorization, host: 'evil.example' }, 403],
  ['with parameters', `${path}?optionsOverride.Scopes=admin`, authorization, 403],
  ['for an unknown client', '/AuthorizationHeaderUnauthenticated/nobody', authorization, 404],
])('a request %s is refused', async (_what, asked, headers, expected) => {
  const { get } = await start({})
  const { status, text } = await get(asked, headers as Record<string, string>)
  expect(status).toBe(expected)
  expect(text).not.toContain('Bearer ey')
})

test('every local user is served only where the configuration says so', async () => {
  const { get } = await start({ anyLocalUser: true })
  expect((await get(path, {})).status).toBe(200)
  await expect(start({ secretFile: undefined })).rejects.toThrow(/\/sidecar/)
})

test('a secret file that others can read is refused, and so is a port that is in use', async () => {
  const open = join(fixtures.folder, 'open-secret')
  writeFileSync(open, secret, { mode: 0o644 })
  await expect(start({ secretFile: open })).rejects.toThrow(/open to other users/)
  const { listen } = await start({})
  const other = fixtures.start({ socket: join(fixtures.folder, 'other.sock') })
  await expect(other).rejects.toThrow(new RegExp(`cannot listen on ${listen} \\(EADDRINUSE\\)`))
})
