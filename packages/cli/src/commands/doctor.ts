import { type Command, Option } from 'commander'
import { addClientOptions, type ClientOptions } from '../client-options.ts'
import { addJsonOption, defineCommand, runs } from '../frame.ts'
import { addKeyOptions, type KeyOptions } from '../key-option.ts'

/** Options of `countersign doctor`. */
export interface DoctorOptions extends KeyOptions, ClientOptions {
  readonly mcp?: string
  readonly resource?: string
}

/** `countersign doctor` */
export function doctorCommand(): Command {
  const command = defineCommand('doctor', {
    summary: 'find out why a key, a client and a server do not get along',
    description:
      'Goes from the key to the tools of an MCP server, or to a token when only --issuer is given, and says of each step what was found, what was expected and what to do. It signs, asks for a token once, and lists the tools; it calls none. When the client or the request is refused, it asks up to six times more, each time with one thing changed that servers are known to want in another way, and names the option that helps.',
    examples: [
      [
        'countersign doctor --key key.pem --client-id billing-agent --mcp https://mcp.example.com/mcp',
        'The whole line, to the tools of an MCP server',
      ],
      [
        'countersign doctor --key awskms:///alias/agent --client-id billing-agent --issuer https://as.example.com',
        'Key and authorization server alone',
      ],
      [
        'countersign doctor --key key.pem --client-id billing-agent --mcp https://mcp.example.com/mcp --json | jq \'.[] | select(.state == "failed")\'',
        'The broken step',
      ],
    ],
  })
  return addJsonOption(addClientOptions(addKeyOptions(command)))
    .addOption(
      new Option('--mcp <url>', 'MCP server at the end of the line').env('COUNTERSIGN_MCP_URL'),
    )
    .addOption(
      new Option('--resource <url>', 'resource to ask a token for, RFC 8707').conflicts('mcp'),
    )
    .action(
      runs<[], DoctorOptions>(async (frame, _arguments, options) => {
        const { runDoctor } = await import('../run-doctor.ts')
        return runDoctor(frame, options)
      }),
    )
}
