import { type Command, Option } from 'commander'
import { addClientOptions, type ClientOptions } from '../client-options.ts'
import { addJsonOption, defineCommand, runs } from '../frame.ts'
import { addKeyOptions, type KeyOptions, keyArgument } from '../key-option.ts'

/** Options of `countersign token`. */
export interface TokenOptions extends KeyOptions, ClientOptions {
  readonly mcp?: string
  readonly resource?: string
}

/** `countersign token KEY` */
export function tokenCommand(): Command {
  const command = defineCommand('token', {
    summary: 'get an access token',
    description:
      'Authenticates the client by private_key_jwt and prints the access token. The authorization server is the one of --issuer, or the one that the MCP server of --mcp names; with both, it has to be the same. With --mcp the token is for that server, with the scope it asks for.',
    examples: [
      [
        'countersign token key.pem --client-id billing-agent --issuer https://as.example.com --scope invoices',
        'From this authorization server',
      ],
      [
        'countersign token key.pem --client-id billing-agent --mcp https://mcp.example.com/mcp',
        'From the authorization server that the MCP server names',
      ],
      [
        'countersign token key.pem --client-id billing-agent --issuer https://as.example.com --json | jq .expires_in',
        'The whole token response',
      ],
    ],
  }).argument('[key]', keyArgument)
  return addJsonOption(addClientOptions(addKeyOptions(command)))
    .addOption(
      new Option('--mcp <url>', 'MCP server that the token is for').env('COUNTERSIGN_MCP_URL'),
    )
    .addOption(
      new Option('--resource <url>', 'resource that the token is for, RFC 8707').env(
        'COUNTERSIGN_RESOURCE',
      ),
    )
    .action(
      runs<[string | undefined], TokenOptions>(async (frame, [key], options) => {
        const { printToken } = await import('../print-token.ts')
        return printToken(frame, key, options)
      }),
    )
}
