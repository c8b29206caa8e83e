import type { CallToolResult } from '@modelcontextprotocol/client'
import type { Command } from 'commander'
import { addClientOptions, type ClientOptions, required } from './client-options.ts'
import { addJsonOption, type Context, defineCommand, runs } from './command.ts'
import { addDpopOptions, type DpopOptions } from './dpop-options.ts'
import { type ExitCode, exitCodes, UsageError } from './errors.ts'
import { addKeyOptions, type KeyOptions } from './key-options.ts'

/** `countersign tools URL` */
export function toolsCommand(): Command {
  const command = defineCommand('tools', {
    summary: 'list the tools of an MCP server',
    description:
      'Connects to an MCP server as a client that authenticates with the key, and lists its tools.',
    examples: [
      [
        'countersign tools https://mcp.example.com/mcp --key key.pem --client-id billing-agent',
        'The names and descriptions',
      ],
      [
        "countersign tools https://mcp.example.com/mcp --key key.pem --client-id billing-agent --json | jq '.tools[].inputSchema'",
        'Their input schemas',
      ],
    ],
  }).argument('[url]', 'MCP server (env: COUNTERSIGN_MCP_URL)')
  return addJsonOption(addDpopOptions(addClientOptions(addKeyOptions(command)))).action(
    runs<[string | undefined], KeyOptions & ClientOptions & DpopOptions>(listTools),
  )
}

async function listTools(
  context: Context,
  [url]: readonly [string | undefined],
  options: KeyOptions & ClientOptions & DpopOptions,
): Promise<undefined> {
  const { withMcpServer } = await import('./mcp-client.ts')
  const { output } = context
  const server = required(
    url || process.env['COUNTERSIGN_MCP_URL'],
    'URL of the MCP server',
    'COUNTERSIGN_MCP_URL',
  )
  const { tools } = await withMcpServer(context, server, options, (client, request) =>
    context.progress('Listing the tools', () => client.listTools(undefined, request)),
  )
  output.print({ tools }, () => {
    const names = tools.map(({ name }) => oneLine(name))
    const width = names.reduce((longest, { length }) => Math.max(longest, length), 0)
    return tools
      .map(({ title, description }, at) => {
        const name = output.clean(names[at] ?? '').padEnd(Math.min(width, maxNameWidth))
        return output.hang(`${name}  `, output.clean(oneLine(description ?? title ?? ''))).trimEnd()
      })
      .join('\n')
  })
}

/** A limit, because the server chooses the names of its tools. */
const maxNameWidth = 64

const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').trim()

/** `countersign call URL TOOL [JSON]` */
export function callCommand(): Command {
  const command = defineCommand('call', {
    summary: 'call a tool of an MCP server',
    description:
      'Connects to an MCP server as a client that authenticates with the key, calls one tool, and prints its answer.',
    examples: [
      [
        'countersign call https://mcp.example.com/mcp whoami --key key.pem --client-id billing-agent',
        'A tool without arguments',
      ],
      [
        `countersign call https://mcp.example.com/mcp add '{"a": 2, "b": 3}' --key key.pem --client-id billing-agent`,
        'A tool with arguments',
      ],
      [
        'countersign call https://mcp.example.com/mcp add - --key key.pem --client-id billing-agent < arguments.json',
        'Arguments from standard input',
      ],
    ],
  })
    .argument('<url>', 'MCP server')
    .argument('<tool>', 'name of the tool')
    .argument('[json]', 'its arguments, as a JSON object; "-" reads them from standard input', '{}')
  return addJsonOption(addDpopOptions(addClientOptions(addKeyOptions(command)))).action(
    runs<[string, string, string], KeyOptions & ClientOptions & DpopOptions>(callTool),
  )
}

/** Calls the tool. The exit code of a result that is an error is that of a refusal. */
async function callTool(
  context: Context,
  [url, tool, json]: readonly [string, string, string],
  options: KeyOptions & ClientOptions & DpopOptions,
): Promise<ExitCode> {
  const { output } = context
  const args = parseArguments(json === '-' ? await readStandardInput() : json)
  const { withMcpServer } = await import('./mcp-client.ts')
  const result = await withMcpServer(context, url, options, (client, request) =>
    context.progress(`Calling ${tool}`, () =>
      client.callTool({ name: tool, arguments: args }, request),
    ),
  )
  output.print(result, () => output.clean(result.content.map(describe).join('\n')))
  return result.isError ? exitCodes.refused : exitCodes.ok
}

async function readStandardInput(): Promise<string> {
  const { text } = await import('node:stream/consumers')
  return text(process.stdin)
}

function parseArguments(json: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    // The parser's message is left out, because it quotes the text.
    throw new UsageError(`The tool's arguments are not JSON; give an object such as '{"a": 2}'`)
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  throw new UsageError(`The tool's arguments must be a JSON object, such as '{"a": 2}'`)
}

/** The text of a text content; for any other content, its type. */
function describe(content: CallToolResult['content'][number]): string {
  if (content.type === 'text') return content.text
  if (content.type === 'resource_link') return `[${content.type}: ${content.uri}]`
  if (content.type === 'resource') return `[${content.type}: ${content.resource.uri}]`
  return `[${content.type}: ${content.mimeType}; --json prints it]`
}
