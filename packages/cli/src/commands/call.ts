import type { Command } from 'commander'
import { addClientOptions, type ClientOptions } from '../client-options.ts'
import { addJsonOption, defineCommand, runs } from '../frame.ts'
import { addKeyOptions, type KeyOptions } from '../key-option.ts'

/** `countersign call URL TOOL [JSON]` */
export function callCommand(): Command {
  const command = defineCommand('call', {
    summary: 'call a tool of an MCP server',
    description:
      'Connects to an MCP server as a client that authenticates with the key, calls one tool, and prints what it answers.',
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
  return addJsonOption(addClientOptions(addKeyOptions(command))).action(
    runs<[string, string, string], KeyOptions & ClientOptions>(
      async (frame, [url, tool, json], options) => {
        const { callTool } = await import('../call-tool.ts')
        return callTool(frame, { url, tool, json }, options)
      },
    ),
  )
}
