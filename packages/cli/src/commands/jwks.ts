import { type Command, Option } from 'commander'
import { addJsonOption, defineCommand, runs } from '../frame.ts'
import { addKeyOptions, type KeyOptions } from '../key-option.ts'

/** Options of `countersign jwks`. */
export interface JwksOptions extends KeyOptions {
  readonly clientMetadata?: string
  readonly clientName?: string
  readonly jwksUri?: string
  readonly scope?: string
}

/** `countersign jwks KEY…` */
export function jwksCommand(): Command {
  const command = defineCommand('jwks', {
    summary: 'print the public keys to register or to publish',
    description:
      'Prints the JWK Set (RFC 7517) of one or more keys: to register with an authorization server, or to publish at a jwks_uri. Give the current key and the next one to publish both before a rotation.',
    examples: [
      ['countersign jwks key.pem', 'One key'],
      [
        'countersign jwks awskms:///alias/agent awskms:///alias/agent-next > jwks.json',
        'Two keys, for a rotation without an outage',
      ],
      [
        "countersign jwks key.pem --client-metadata https://agent.example.com/client.json --client-name 'Billing agent'",
        'The document of a client that is not registered anywhere, to be served at its URL',
      ],
    ],
  }).argument('[keys...]', 'key URIs, or paths of key files (env: COUNTERSIGN_KEY)')
  return addJsonOption(addKeyOptions(command))
    .addOption(
      new Option(
        '--client-metadata <url>',
        'print the Client ID Metadata Document to serve at this URL, which is the client ID',
      ),
    )
    .addOption(
      new Option('--client-name <name>', 'name of the client in that document').env(
        'COUNTERSIGN_CLIENT_NAME',
      ),
    )
    .addOption(
      new Option('--jwks-uri <url>', 'where the keys are published, instead of in that document'),
    )
    .addOption(
      new Option('--scope <values>', 'scope values in that document, separated by spaces').env(
        'COUNTERSIGN_SCOPE',
      ),
    )
    .action(
      runs<[readonly string[]], JwksOptions>(async (frame, [keys], options) => {
        const { printJwks } = await import('../print-jwks.ts')
        return printJwks(frame, keys, options)
      }),
    )
}
