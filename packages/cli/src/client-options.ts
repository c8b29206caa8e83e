import { type Command, Option } from 'commander'
import { UsageError } from './usage-error.ts'

/** The options that say which client asks, and whom, as commander hands them over. */
export interface ClientOptions {
  readonly clientId?: string
  readonly issuer?: string
  readonly scope?: string
  readonly audience?: string
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

/** `--audience` */
export const audienceOption = (): Option =>
  new Option(
    '--audience <value>',
    'audience of the assertion, where the server wants another than its issuer',
  ).env('COUNTERSIGN_AUDIENCE')

/** Adds the options that say which client asks, and whom. */
export function addClientOptions(command: Command): Command {
  return command
    .addOption(clientIdOption())
    .addOption(issuerOption())
    .addOption(
      new Option('--scope <values>', 'scope values to ask for, separated by spaces').env(
        'COUNTERSIGN_SCOPE',
      ),
    )
    .addOption(audienceOption())
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
