import type { Signer } from '@countersign/core'
import { type Command, Option } from 'commander'
import { required } from './client-options.ts'
import { addJsonOption, type Context, defineCommand, runs } from './command.ts'
import { UsageError } from './errors.ts'
import { addKeyOptions, type KeyOptions } from './key-options.ts'
import { jsonText } from './output.ts'

/** Options of `countersign jwks`. */
interface JwksOptions extends KeyOptions {
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
        'The metadata document of a client that is not registered, to serve at its URL',
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
    .action(runs<[readonly string[]], JwksOptions>(printJwks))
}

async function printJwks(
  context: Context,
  [keys]: readonly [readonly string[]],
  options: JwksOptions,
): Promise<undefined> {
  const { openKey } = await import('./open-key.ts')
  const signers: Signer[] = []
  for (const key of keys.length === 0 ? [undefined] : keys) {
    await using opened = await openKey(context, key, options)
    signers.push(opened.signer)
  }
  const document = await documentOf(signers, options)
  context.output.print(document, () => jsonText(document, 2))
}

/** The JWK Set, or with `--client-metadata` the Client ID Metadata Document. */
async function documentOf(signers: readonly Signer[], options: JwksOptions): Promise<object> {
  const { jwks } = await import('@countersign/core')
  const { clientMetadata: clientId, clientName, jwksUri, scope } = options
  try {
    if (clientId === undefined) return jwks(...signers)
    const { clientMetadata } = await import('@countersign/oauth')
    return clientMetadata(signers, {
      clientId,
      clientName: required(clientName, '--client-name', 'COUNTERSIGN_CLIENT_NAME'),
      jwksUri: jwksUri || undefined,
      scope: scope || undefined,
    })
  } catch (error) {
    throw error instanceof TypeError ? new UsageError(error.message) : error
  }
}
