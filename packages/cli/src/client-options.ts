import { type Command, InvalidArgumentError, Option } from 'commander'
import { UsageError } from './usage-error.ts'

/** The options that say how the client authenticates, as commander hands them over. */
export interface AuthenticationOptions {
  readonly audience?: string
  readonly typ?: string
  readonly kid?: string
  readonly clientIdInBody?: boolean
}

/** The options that say which client asks, and whom, as commander hands them over. */
export interface ClientOptions extends AuthenticationOptions {
  readonly clientId?: string
  readonly issuer?: string
  readonly scope?: string
  readonly maxScope?: string
}

/** `--client-id` */
export const clientIdOption = (): Option =>
  new Option('--client-id <id>', 'client ID at the authorization server').env(
    'COUNTERSIGN_CLIENT_ID',
  )

/** `--issuer` */
export const issuerOption = (): Option =>
  new Option('--issuer <url>', 'issuer identifier of the authorization server').env(
    'COUNTERSIGN_ISSUER',
  )

/** Adds the options that say how an assertion is made, for servers that want it in another way. */
export function addAuthenticationOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        '--audience <value>',
        'audience of the assertion: issuer (the default), token_endpoint, or a URL',
      ).env('COUNTERSIGN_AUDIENCE'),
    )
    .addOption(
      new Option(
        '--typ <value>',
        'type in the header of the assertion; client-authentication+jwt by default',
      ).env('COUNTERSIGN_TYP'),
    )
    .addOption(
      new Option(
        '--kid <value>',
        "key ID in the header of the assertion, in place of the key's own; spki-sha256 computes it from the public key, none leaves it out",
      ).env('COUNTERSIGN_KID'),
    )
    .addOption(
      new Option(
        '--client-id-in-body',
        'also send client_id in the body (env: COUNTERSIGN_CLIENT_ID_IN_BODY=1)',
        // Not by commander, which takes a variable that is empty or 0 for a yes.
      ).default(process.env['COUNTERSIGN_CLIENT_ID_IN_BODY'] === '1' || undefined),
    )
}

/** Adds the options that say which client asks, and whom. */
export function addClientOptions(command: Command): Command {
  command
    .addOption(clientIdOption())
    .addOption(issuerOption())
    .addOption(
      new Option('--scope <values>', 'scope values to ask for, separated by spaces').env(
        'COUNTERSIGN_SCOPE',
      ),
    )
    .addOption(
      new Option(
        '--max-scope <values>',
        'scope values that the MCP server may ask for in addition to --scope; all by default',
      ).env('COUNTERSIGN_MAX_SCOPE'),
    )
  addAuthenticationOptions(command)
  // What is sent needs an audience that is a server.
  const audience = command.options.find(({ long }) => long === '--audience')
  audience?.argParser(sentAudience)
  return command
}

function sentAudience(value: string): string {
  if (/^(?:issuer|token_endpoint)?$/.test(value) || URL.canParse(value)) return value
  throw new InvalidArgumentError('It must be issuer, token_endpoint or a URL.')
}

/** An option, or an environment variable, that a command cannot do without. */
export function required(value: string | undefined, option: string, variable: string): string {
  if (value) return value
  throw new UsageError(`${option} is missing; give it, or set ${variable}`)
}

/** A URL that was given: https, or http on loopback, and without credentials. */
export async function requireUrl(value: string, option: string): Promise<URL> {
  const { requireSecureUrl } = await import('@countersign/oauth/provider')
  try {
    return requireSecureUrl(value, option)
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}
