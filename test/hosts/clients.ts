import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client as ClientV2 } from '@modelcontextprotocol/client'
import { StdioClientTransport as StdioV2 } from '@modelcontextprotocol/client/stdio'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport as StdioV1 } from '@modelcontextprotocol/sdk/client/stdio.js'
import { nodeBinary, nodeBinaryMissing } from '../support/node-binary.js'
import { npmRelease } from '../support/npm-release.js'
import { fastMcp, mcpV1 } from '../support/python.js'
import { output } from '../support/run.js'
import type { Host, Snippet } from './snippet.ts'

/** One call of a tool through a server of a host's configuration. */
export interface Call {
  readonly snippet: Snippet
  /** The working directory of the client, and of the server that it starts. */
  readonly project: string
  /** For files of the client. */
  readonly folder: string
  readonly tool: string
  readonly args: Readonly<Record<string, number>>
}

/** A client that others wrote, and the host whose configuration it gets. */
export interface Client {
  readonly host: Host
  /** Calls the tool; the returned text has the result in it. */
  readonly call: (call: Call) => Promise<string>
  /** Why it cannot run here. */
  readonly missing?: string | undefined
}

const inspector = { name: '@modelcontextprotocol/inspector', version: '2.12.0' }
const mcpc = { name: '@apify/mcpc', version: '0.2.6' }

/** The clients, by name. */
export const clients: Readonly<Record<string, Client>> = {
  'TypeScript SDK v1': { host: 'codex', call: callByV1 },
  'TypeScript SDK v2': { host: 'vscode', call: callByV2 },
  'Python SDK 1.x': { host: 'claude-code', call: callByPython(mcpV1.python) },
  'Python SDK 2.x': { host: 'cursor', call: callByPython(fastMcp.python) },
  FastMCP: {
    host: 'claude',
    call: ({ snippet, ...call }) => callByFastMcp({ ...call, text: snippet.text }),
  },
  'MCP Inspector': { host: 'claude-code', call: callByInspector, missing: inspectorMissing() },
  mcpc: { host: 'gemini', call: callByMcpc },
}

const isNode22 = Number(process.versions.node.split('.')[0]) >= 22

function inspectorMissing(): string | undefined {
  return Number(process.versions.node.split('.')[0]) >= 22 ? undefined : nodeBinaryMissing
}

async function callByV1({ snippet, project, tool, args }: Call): Promise<string> {
  const { command, args: commandArgs, env } = snippet.entry
  const server = { command, args: [...commandArgs], env: { ...env }, cwd: project }
  const client = new ClientV1({ name: 'hosts', version: '1.0.0' })
  try {
    await client.connect(new StdioV1(server))
    return JSON.stringify(await client.callTool({ name: tool, arguments: args }))
  } finally {
    await client.close()
  }
}

async function callByV2({ snippet, project, tool, args }: Call): Promise<string> {
  const { command, args: commandArgs, env } = snippet.entry
  const server = { command, args: [...commandArgs], env: { ...env }, cwd: project }
  const client = new ClientV2({ name: 'hosts', version: '1.0.0' })
  try {
    await client.connect(new StdioV2(server))
    return JSON.stringify(await client.callTool({ name: tool, arguments: args }))
  } finally {
    await client.close()
  }
}

const script = (file: string): string => fileURLToPath(new URL(file, import.meta.url))

/** The path of an interpreter. */
function requirePython(python: () => string | undefined): string {
  const found = python()
  if (found === undefined) throw new Error('not installed; run npm test -- --lane hosts')
  return found
}

function callByPython(python: () => string | undefined): Client['call'] {
  return ({ snippet, project, tool, args }) => {
    const given = [snippet.entry, tool, args].map((value) => JSON.stringify(value))
    return output(requirePython(python), [script('python_sdk_client.py'), ...given], {
      cwd: project,
      timeoutSeconds,
    })
  }
}

/** How long a client may take. */
const timeoutSeconds = 60

/** Calls a tool of the server in a configuration that FastMCP reads. */
export async function callByFastMcp({
  text,
  project,
  tool,
  args,
}: Pick<Call, 'tool' | 'args'> & {
  readonly text: string
  readonly project?: string
}): Promise<string> {
  const given = [text, JSON.stringify(tool), JSON.stringify(args)]
  return output(requirePython(fastMcp.python), [script('fastmcp_client.py'), ...given], {
    ...(project === undefined ? {} : { cwd: project }),
    timeoutSeconds,
  })
}

/** Writes the configuration of the host into a file. */
function configFile({ snippet, folder }: Call): string {
  const file = join(folder, `${snippet.name}.json`)
  writeFileSync(file, snippet.text)
  return file
}

async function callByInspector(call: Call): Promise<string> {
  const program = 'node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js'
  const node = isNode22 ? process.execPath : nodeBinary(22)
  const server = ['--config', configFile(call), '--server', call.snippet.name]
  const method = ['--method', 'tools/call', '--tool-name', call.tool]
  const args = ['--tool-args-json', JSON.stringify(call.args)]
  return output(
    node,
    [join(npmRelease(inspector), program), '--cli', ...server, ...method, ...args],
    {
      cwd: call.project,
      env: { HOME: call.folder },
      timeoutSeconds,
    },
  )
}

async function callByMcpc(call: Call): Promise<string> {
  const program = join(npmRelease(mcpc), 'node_modules/@apify/mcpc/bin/mcpc')
  const session = '@hosts'
  const run = (args: readonly string[]) =>
    output(process.execPath, [program, ...args], {
      cwd: call.project,
      env: { HOME: call.folder, MCPC_HOME_DIR: join(call.folder, 'mcpc') },
      timeoutSeconds,
    })
  await run(['connect', `${configFile(call)}:${call.snippet.name}`, session])
  try {
    return await run(['--json', session, 'tools-call', call.tool, JSON.stringify(call.args)])
  } finally {
    await run(['close', session])
  }
}

/** Fetches the clients that are on npm. */
export function fetchClients(): void {
  for (const release of [inspector, mcpc]) {
    if (!existsSync(npmRelease(release))) throw new Error(`${release.name} was not fetched`)
  }
  if (!isNode22 && nodeBinaryMissing === undefined) nodeBinary(22)
}
