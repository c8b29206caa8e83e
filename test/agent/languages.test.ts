import { execFile, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startAgent } from '@countersign/agent/server'
import { decodeJwt } from 'jose'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { cache } from '../../scripts/workspace.mjs'
import { PAIR_SCOPE, type Pair, startPair } from '../servers/pair.js'
import { aptInstall, findProgram } from '../support/debian.js'
import { fastMcp, mcpV1 } from '../support/python.js'
import { clientId, writeKey } from './fixtures.ts'
import { startAgentProcess } from './process.ts'

const page = readFileSync(new URL('../../docs/agent.md', import.meta.url), 'utf8')
const folder = mkdtempSync(join(tmpdir(), 'cs-agent-languages-'))
const socket = join(folder, 'agent.sock')
let pair: Pair
/** Python with version 2 of the MCP SDK, and with version 1. */
let python: string
let pythonV1: string

function installed({ install, python }: typeof fastMcp): string {
  const missing = install()
  const program = python()
  if (program === undefined) throw new Error(missing)
  return program
}

beforeAll(async () => {
  python = installed(fastMcp)
  pythonV1 = installed(mcpV1)
  const { uri: key, jwks } = await writeKey(join(folder, 'key.pem'))
  pair = await startPair({
    client_id: clientId,
    token_endpoint_auth_method: 'private_key_jwt',
    jwks,
  })
  const { issuer } = pair.authorizationServer
  const billing = { key, clientId, issuer, scopes: [PAIR_SCOPE], resources: [pair.mcpServer.url] }
  writeFileSync(join(folder, 'agent.json'), JSON.stringify({ clients: { billing } }), {
    mode: 0o600,
  })
  const agent = await startAgent({ config: join(folder, 'agent.json'), socket })
  return () => agent.close()
}, 600_000)

afterAll(async () => {
  await pair?.close()
  rmSync(folder, { recursive: true, force: true })
})

/** The code blocks under a heading of docs/agent.md, with the servers of this test in them. */
function blocksUnder(heading: string): string[] {
  const [, rest = ''] = page.split(`\n### ${heading}\n`)
  const [section = ''] = rest.split(/\n##+ /)
  const found = [...section.matchAll(/```\w+\n([\s\S]*?)```/g)].map(([, text = '']) =>
    text.replaceAll('https://mcp.example.com/mcp', pair.mcpServer.url),
  )
  expect(found.length).toBeGreaterThan(0)
  for (const text of found) {
    expect(text.split('\n').filter((line) => line.trim()).length).toBeLessThanOrEqual(15)
  }
  return found
}

const execute = promisify(execFile)

async function run(
  program: string,
  args: readonly string[],
  env: Record<string, string> = {},
  timeoutSeconds = 120,
) {
  const { stdout } = await execute(program, [...args], {
    cwd: folder,
    env: { PATH: process.env['PATH'], HOME: folder, COUNTERSIGN_AGENT: socket, ...env },
    timeout: timeoutSeconds * 1000,
  })
  return stdout
}

function runPython(name: string, text: string, env: Record<string, string> = {}) {
  writeFileSync(join(folder, name), text)
  return run(python, [name], env)
}

test('the Python MCP SDK lists tools with assertions of the agent', async () => {
  const [assertion = ''] = blocksUnder('Python')
  writeFileSync(join(folder, 'agent_assertion.py'), assertion)
  const program = `
import asyncio, os
import httpx2
from mcp import Client
from mcp.client.auth.extensions.client_credentials import PrivateKeyJWTOAuthProvider
from mcp.client.streamable_http import streamable_http_client
from agent_assertion import agent_assertion

class MemoryStorage:
    tokens = None
    async def get_tokens(self): return self.tokens
    async def set_tokens(self, tokens): self.tokens = tokens

async def main():
    url = os.environ["URL"]
    provider = PrivateKeyJWTOAuthProvider(
        url, MemoryStorage(), "${clientId}", agent_assertion, issuer=os.environ["ISSUER"])
    async with httpx2.AsyncClient(auth=provider) as http:
        async with Client(streamable_http_client(url, http_client=http)) as client:
            print([tool.name for tool in (await client.list_tools()).tools])

asyncio.run(main())
`
  const said = await runPython('sdk.py', program, {
    URL: pair.mcpServer.url,
    ISSUER: pair.authorizationServer.issuer,
  })
  expect(said).toContain("'whoami'")
}, 120_000)

test('version 1 of the Python MCP SDK does so as well', async () => {
  const [assertion = ''] = blocksUnder('Python')
  writeFileSync(join(folder, 'agent_assertion_v1.py'), assertion.replaceAll('httpx2', 'httpx'))
  const program = `
import asyncio, os
from mcp import ClientSession
from mcp.client.auth.extensions.client_credentials import PrivateKeyJWTOAuthProvider
from mcp.client.streamable_http import streamablehttp_client
from agent_assertion_v1 import agent_assertion

class MemoryStorage:
    tokens = client = None
    async def get_tokens(self): return self.tokens
    async def set_tokens(self, tokens): self.tokens = tokens
    async def get_client_info(self): return self.client
    async def set_client_info(self, client): self.client = client

async def main():
    url = os.environ["URL"]
    provider = PrivateKeyJWTOAuthProvider(
        url, MemoryStorage(), "${clientId}", agent_assertion, issuer=os.environ["ISSUER"])
    async with streamablehttp_client(url, auth=provider) as (read, write, _):
        async with ClientSession(read, write) as session:
            await session.initialize()
            print([tool.name for tool in (await session.list_tools()).tools])

asyncio.run(main())
`
  writeFileSync(join(folder, 'sdk_v1.py'), program)
  const said = await run(pythonV1, ['sdk_v1.py'], {
    URL: pair.mcpServer.url,
    ISSUER: pair.authorizationServer.issuer,
  })
  expect(said).toContain("'whoami'")
}, 120_000)

test('the median assertion takes Python less than 100 ms, on a busy machine as well', async () => {
  const program = `
import asyncio, time
from agent_assertion import agent_assertion

async def main():
    times = []
    for _ in range(300):
        start = time.perf_counter()
        await agent_assertion("${pair.authorizationServer.issuer}")
        times.append(time.perf_counter() - start)
    print(sorted(times)[150] * 1000)

asyncio.run(main())
`
  const medianMs = Number(await runPython('median.py', program))
  console.log(`Python SDK, one assertion of the agent: ${medianMs.toFixed(2)} ms at the median`)
  // The command line takes at least 350 ms. The goal on a quiet machine is 5 ms.
  expect(medianMs).toBeLessThan(100)
}, 120_000)

test('FastMCP and httpx send the token of the agent', async () => {
  const [, auth = '', fastmcp = ''] = blocksUnder('Python')
  writeFileSync(join(folder, 'agent_auth.py'), auth)
  expect(await runPython('fastmcp_program.py', fastmcp)).toContain("'whoami'")
  const httpx = `
import httpx2
from agent_auth import AgentAuth
try:
    httpx2.get("https://elsewhere.example/", auth=AgentAuth())
except httpx2.HTTPStatusError as error:
    print(error.response.status_code, error.response.json()["code"])
`
  expect(await runPython('httpx_program.py', httpx)).toBe('403 ERR_AGENT_NOT_ALLOWED\n')
}, 120_000)

test('Go gets a token of the agent, and the reason of a refusal', async () => {
  const [block = ''] = blocksUnder('Go')
  const program = `package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
)

${block}
func main() {
	fmt.Println(agentToken("billing"))
	fmt.Println(agentToken("nobody"))
}
`
  writeFileSync(join(folder, 'main.go'), program)
  const go = { GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'local', GOCACHE: join(cache, 'go-build') }
  const [token = '', refusal] = (await run('go', ['run', 'main.go'], go, 560)).split('\n')
  expect(decodeJwt(token.split(' ')[0] ?? '')).toMatchObject({ client_id: clientId })
  expect(refusal).toContain("agent: The agent's configuration has no client of this name")
  // The first run compiles the network packages of Go.
}, 600_000)

test('curl gets a token of the agent', async () => {
  const [command = ''] = blocksUnder('curl')
  const { access_token, scope } = JSON.parse(await run('sh', ['-c', command]))
  expect(scope).toBe(PAIR_SCOPE)
  expect(decodeJwt(access_token)).toMatchObject({ client_id: clientId })
})

test('the property list for launchd is one', async () => {
  const file = new URL('../../packages/agent/launchd/countersign-agent.plist', import.meta.url)
  const program = 'import plistlib, sys; print(plistlib.load(open(sys.argv[1], "rb"))["Label"])'
  expect(await run(python, ['-c', program, file.pathname])).toBe('countersign-agent\n')
})

test('systemd is told that the agent is ready, and the user when that fails', async () => {
  if (findProgram('systemd-notify') === undefined) aptInstall(['systemd'])
  expect(findProgram('systemd-notify'), 'the program systemd-notify of systemd').toBeDefined()
  // Node.js cannot listen on a datagram socket of the Unix family.
  const path = join(folder, 'notify.sock')
  const receiver = `
import os, socket
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind("${path}")
print("ready", flush=True)
print(listener.recv(4096).decode(), flush=True)`
  const child = spawn(python, ['-c', receiver], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  let received = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    received += text
  })
  await expect.poll(() => received, { timeout: 10_000 }).toContain('ready\n')
  const args = ['--config', join(folder, 'agent.json'), '--socket', join(folder, 'notifying.sock')]
  const agent = await startAgentProcess(args, { env: { NOTIFY_SOCKET: path } })
  await expect.poll(() => received, { timeout: 10_000 }).toContain('READY=1')
  expect(received).toContain(`MAINPID=${agent.pid}`)
  expect(await agent.end()).toBe(0)

  const missing = join(folder, 'missing.sock')
  const told = await startAgentProcess(args, { env: { NOTIFY_SOCKET: missing } })
  await told.says('systemd-notify failed')
})
