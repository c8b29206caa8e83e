import { describe, expect, it } from 'vitest'
import { answerAsMcp, bearer } from '../mcp/scripted-mcp.ts'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import { startScriptedResource, unauthorized } from '../servers/hostile-resource.js'
import {
  type Answer,
  type ScriptedRequest,
  type ScriptedServer,
  startScriptedServer,
} from '../servers/scripted-server.js'
import { errorResponse } from '../servers/token-responses.js'
import { countersign } from './command.ts'
import { clientId, closing, startDoctorFixtures } from './doctor-fixtures.ts'

/** Clears a screen, sets a title, C1's own escape sequence, and turns text around. */
const steering = '\u001b[2J\u001b]0;title\u0007\u009b31m\u0085\u202egnp.exe\u2066\u200f\u061c'
/** Any character that steers a terminal or the direction of its text. */
const steers = /[^\P{Cc}\n]|[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/u

/** Starts an MCP server that answers as it is told, and returns its URL and the options of a client that it knows. */
async function startMcp(answer: (request: ScriptedRequest) => Answer) {
  const { keyFile, as } = await startDoctorFixtures()
  const { url } = closing(
    await startScriptedResource({
      authorizationServers: [as.url],
      answer: (request, self) =>
        bearer(request) === undefined ? unauthorized(self) : answer(request),
    }),
  )
  return { url, options: ['--key', keyFile, '--client-id', clientId] }
}

/** Answers one method with a result of the test's. */
const answering = (method: string, result: object) => (request: ScriptedRequest) => {
  if (request.method !== 'POST') return answerAsMcp(request)
  const { id, method: called } = JSON.parse(request.body)
  return called === method ? Response.json({ jsonrpc: '2.0', id, result }) : answerAsMcp(request)
}

describe('what an MCP server says cannot steer the terminal that its output reaches through a pipe', () => {
  it.each([
    ['tools', 'tools/list', []],
    ['call', 'tools/call', ['x']],
  ])('countersign %s', async (command, method, more) => {
    const tool = { name: `x${steering}`, description: steering, inputSchema: { type: 'object' } }
    const said = method === 'tools/list' ? { tools: [tool] } : { content: content(steering) }
    const { url, options } = await startMcp(answering(method, said))
    const [plain, json] = await Promise.all(
      [[], ['--json']].map((flags) => countersign([command, url, ...more, ...options, ...flags])),
    )
    for (const ended of [plain, json]) {
      expect(ended).toMatchObject({ code: 0, stderr: '' })
      expect(ended?.stdout).not.toMatch(steers)
    }
    expect(plain?.stdout).toContain('\ufffd[2J')
    // Escaped, and so complete for a program.
    expect(JSON.parse(json?.stdout ?? '')).toMatchObject(said)
  })

  it('keeps the lines of a tool result, which may end in CR and LF', async () => {
    const said = { content: content('one\r\ntwo\tthree\n') }
    const { url, options } = await startMcp(answering('tools/call', said))
    const { stdout } = await countersign(['call', url, 'x', ...options])
    expect(stdout).toBe('one\ntwo\tthree\n\n')
  })
})

const content = (text: string) => [{ type: 'text', text }]

/** The commands that read metadata of the servers that an MCP server names. */
const commands = {
  tools: (mcp: string) => ['tools', mcp],
  call: (mcp: string) => ['call', mcp, 'x'],
  token: (mcp: string) => ['token', '--mcp', mcp],
  doctor: (mcp: string) => ['doctor', '--mcp', mcp],
}

describe.each(Object.entries(commands))('countersign %s', (_name, args) => {
  it.each(['oauth-protected-resource', 'oauth-authorization-server'])(
    'reads no more than 1 MiB of the 300 MiB that a server sends as %s',
    async (endless) => {
      const server: ScriptedServer = closing(
        await startScriptedServer(({ path }) => {
          if (path.startsWith(`/.well-known/${endless}`)) return flood(300)
          if (path.startsWith('/.well-known/oauth-protected-resource')) {
            const [resource, servers] = [`${server.url}/mcp`, [server.url]]
            return Response.json({ resource, authorization_servers: servers })
          }
          return new Response(null, { status: path === '/mcp' ? 401 : 404 })
        }),
      )
      const { keyFile } = await startDoctorFixtures()
      const options = ['--key', keyFile, '--client-id', clientId]
      const ended = await countersign([...args(`${server.url}/mcp`), ...options], {
        node: ['--import', `data:text/javascript,${encodeURIComponent(sayMemory)}`],
      })
      expect(ended.code).toBe(1)
      expect(ended.stdout + ended.stderr).toMatch(/is larger than 1 MiB/)
      // Half of it is Node.js itself.
      expect(Number(/MEMORY (\d+)/.exec(ended.said)?.[1]) / 1024).toBeLessThan(250)
    },
  )

  it('prints at most a few lines of a server, and none controls a terminal', async () => {
    const long = `${steering}${'x'.repeat(800_000)}`
    const as = closing(
      await startScriptedAuthorizationServer({
        token: () => errorResponse(`bad${long}`, { description: long }),
      }),
    )
    const misnamed = closing(
      await startScriptedAuthorizationServer({
        metadata: { issuer: `https://as.example/${long}` },
      }),
    )
    for (const authorizationServers of [
      [as.url],
      [misnamed.url],
      [`https://as.example/${long}`],
      [`nonsense ${long}`],
    ]) {
      const resource = closing(await startScriptedResource({ authorizationServers }))
      const { keyFile } = await startDoctorFixtures()
      const options = ['--key', keyFile, '--client-id', clientId, '--timeout', '10']
      const ended = await countersign([...args(resource.url), ...options])
      expect([1, 4]).toContain(ended.code)
      const text = ended.stdout + ended.said
      expect(text).not.toMatch(steers)
      for (const line of text.split('\n')) expect(line.length).toBeLessThan(2100)
    }
  })
})

const sayMemory = `process.on('exit', () =>
  process.stderr.write('MEMORY ' + process.resourceUsage().maxRSS + '\\n'))`

/** Sends so many MiB, as fast as they are read. */
function flood(mebibytes: number): Answer {
  return (response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    const chunk = Buffer.alloc(1024 * 1024, ' ')
    let left = mebibytes
    const send = () => {
      while (left-- > 0) if (!response.write(chunk)) return void response.once('drain', send)
      response.end()
    }
    send()
  }
}
