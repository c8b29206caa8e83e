import type { Command } from 'commander'
import { addClientOptions, type ClientOptions, required } from './client-options.ts'
import { addJsonOption, type Context, defineCommand, runs } from './command.ts'
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
  return addJsonOption(addClientOptions(addKeyOptions(command))).action(
    runs<[string | undefined], KeyOptions & ClientOptions>(listTools),
  )
}

async function listTools(
  context: Context,
  [url]: readonly [string | undefined],
  options: KeyOptions & ClientOptions,
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
    const width = names.reduce((most, { length }) => Math.max(most, length), 0)
    return tools
      .map(({ title, description }, at) => {
        const name = output.clean(names[at] ?? '').padEnd(Math.min(width, widest))
        return output.hang(`${name}  `, output.clean(oneLine(description ?? title ?? ''))).trimEnd()
      })
      .join('\n')
  })
}

/** A limit, because the server chooses the names of its tools. */
const widest = 64

const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').trim()
