import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { UsageError } from './errors.ts'

/** The options of every command that signs, as commander parses them. */
export interface KeyOptions {
  readonly key?: string
  readonly scheme?: readonly string[]
  readonly pinFile?: string
  readonly passphraseFile?: string
  readonly allowSharedFiles?: boolean
  readonly timeout: number
}

/** The argument KEY, for help. */
export const keyArgument = 'key URI, or path of a PEM, DER or JWK file (env: COUNTERSIGN_KEY)'

/** Adds the options that name the key, and where its PIN or passphrase comes from. */
export function addKeyOptions(
  command: Command,
  timeout: { readonly defaultTimeoutSeconds?: number } = {},
): Command {
  return addOpeningOptions(
    command.addOption(
      new Option('-k, --key <key>', 'key URI, or path of a key file').env('COUNTERSIGN_KEY'),
    ),
    timeout,
  )
}

/** Adds the options that say how to open a key, whichever it is. */
export function addOpeningOptions(
  command: Command,
  { defaultTimeoutSeconds = 30 }: { readonly defaultTimeoutSeconds?: number } = {},
): Command {
  return command
    .addOption(
      new Option('--scheme <package>', 'package that adds a scheme of key URIs; may be repeated')
        .env('COUNTERSIGN_SCHEMES')
        .argParser((value, before: readonly string[] = []) => [
          ...before,
          ...value.split(/[\s,]+/).filter(Boolean),
        ]),
    )
    .addOption(
      new Option('--pin-file <path>', 'file with the PIN of a token; - is standard input').env(
        'COUNTERSIGN_PIN_FILE',
      ),
    )
    .addOption(
      new Option(
        '--passphrase-file <path>',
        'file with the passphrase of a key; - is standard input',
      ).env('COUNTERSIGN_PASSPHRASE_FILE'),
    )
    .addOption(
      new Option(
        '--allow-shared-files',
        'accept key, PIN and passphrase files that other users can read (env: COUNTERSIGN_ALLOW_SHARED_FILES=1)',
        // Not by .env(), with which an empty variable or 0 would turn the option on.
      ).default(process.env['COUNTERSIGN_ALLOW_SHARED_FILES'] === '1' || undefined),
    )
    .addOption(timeoutOption(defaultTimeoutSeconds))
}

function timeoutOption(defaultTimeoutSeconds: number): Option {
  return new Option('--timeout <seconds>', 'how long to wait for a key or a server')
    .env('COUNTERSIGN_TIMEOUT')
    .default(defaultTimeoutSeconds)
    .argParser((value) => {
      // An empty environment variable counts as not set.
      const seconds = Number(value || defaultTimeoutSeconds)
      if (seconds > 0 && seconds <= 600) return seconds
      throw new InvalidArgumentError('It must be a number of seconds, above 0 and up to 600.')
    })
}

/** The key URI that was given, by argument, `--key` or environment. */
export function keyUriOf(argument: string | undefined, { key }: Pick<KeyOptions, 'key'>): string {
  const given = argument || key
  if (given) return asKeyUri(given)
  throw new UsageError(
    'No key was given; give a key URI such as awskms:///alias/agent, or the path of a key file, as the argument or with --key, or set COUNTERSIGN_KEY',
  )
}

/**
 * Makes a path a `file:` URI.
 *
 * A text with a scheme is returned as it is. So is a name that a key service uses, unless there is such a file: the
 * error of the parser then says how to write it as a URI. A scheme has at least two letters, because C:\ has one.
 */
function asKeyUri(given: string): string {
  const isUri =
    /^[a-z][a-z0-9+.-]+:/i.test(given) || (serviceName.test(given) && !existsSync(given))
  return isUri ? given : pathToFileURL(resolve(given)).href
}

const serviceName =
  /^(?:alias\/|projects\/|\/\/cloudkms\.|mrk-[\da-f]{32}$|[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$)/
