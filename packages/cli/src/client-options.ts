import { type Command, InvalidArgumentError, Option } from 'commander'
import { UsageError } from './errors.ts'

/** The options of client authentication, as commander parses them. */
export interface AuthenticationOptions {
  readonly audience?: string
  readonly typ?: string
  readonly kid?: string
  readonly clientIdInBody?: boolean
}

/** The options that name the client and the authorization server, as commander parses them. */
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

/** Adds the options that change the assertion, for servers that need another one than the default. */
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
        // Not by .env(), with which an empty variable or 0 would turn the option on.
      ).default(process.env['COUNTERSIGN_CLIENT_ID_IN_BODY'] === '1' || undefined),
    )
}

/** Adds the options that name the client and the authorization server, and those of client authentication. */
export function addClientOptions(command: Command): Command {
  command
    .addOption(clientIdOption())
    .addOption(issuerOption())
    .addOption(
      new Option('--scope <values>', 'scope values to request, separated by spaces').env(
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
  // An assertion that is sent must have a server as its audience.
  const audience = command.options.find(({ long }) => long === '--audience')
  audience?.argParser(sentAudience)
  return command
}

function sentAudience(value: string): string {
  if (/^(?:issuer|token_endpoint)?$/.test(value) || URL.canParse(value)) return value
  throw new InvalidArgumentError('It must be issuer, token_endpoint or a URL.')
}

/** Requires an option that can also be given as an environment variable. */
export function required(value: string | undefined, option: string, variable: string): string {
  if (value) return value
  throw new UsageError(`${option} is missing; give it, or set ${variable}`)
}

/** Requires an https URL, or http on loopback, without credentials. */
export async function requireUrl(value: string, option: string): Promise<URL> {
  const { requireSecureUrl } = await import('@countersign/oauth/internal')
  try {
    return requireSecureUrl(value, option)
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}
