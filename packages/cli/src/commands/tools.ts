import type { Command } from 'commander'
import { addClientOptions, type ClientOptions } from '../client-options.ts'
import { addJsonOption, defineCommand, runs } from '../frame.ts'
import { addKeyOptions, type KeyOptions } from '../key-option.ts'

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
        'What they take',
      ],
    ],
  }).argument('[url]', 'MCP server (env: COUNTERSIGN_MCP_URL)')
  return addJsonOption(addClientOptions(addKeyOptions(command))).action(
    runs<[string | undefined], KeyOptions & ClientOptions>(async (frame, [url], options) => {
      const { listTools } = await import('../list-tools.ts')
      return listTools(frame, url, options)
    }),
  )
}
