import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Signer } from '@countersign/core'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Frame } from './frame.ts'
import { UsageError } from './usage-error.ts'

/** The options of every command that signs, as commander hands them over. */
export interface KeyOptions {
  readonly key?: string
  readonly scheme?: readonly string[]
  readonly pinFile?: string
  readonly passphraseFile?: string
  readonly allowSharedFiles?: boolean
  readonly timeout: number
}

/** What the argument KEY is, for help. */
export const keyArgument = 'key URI, or path of a PEM, DER or JWK file (env: COUNTERSIGN_KEY)'

/** Adds the options that say which key signs, and where its PIN or passphrase comes from. */
export function addKeyOptions(command: Command): Command {
  return command
    .addOption(
      new Option('-k, --key <key>', 'key URI, or path of a key file').env('COUNTERSIGN_KEY'),
    )
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
        'take key, PIN and passphrase files that others than their owner can read (env: COUNTERSIGN_ALLOW_SHARED_FILES=1)',
        // Not by commander, to which a variable that is empty or 0 says yes, too.
      ).default(process.env['COUNTERSIGN_ALLOW_SHARED_FILES'] === '1' || undefined),
    )
    .addOption(timeoutOption())
}

const defaultTimeoutSeconds = 30

function timeoutOption(): Option {
  return new Option('--timeout <seconds>', 'how long to wait for a key or a server')
    .env('COUNTERSIGN_TIMEOUT')
    .default(defaultTimeoutSeconds)
    .argParser((value) => {
      // As an environment variable that is empty, and so not set.
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
    'No key was given; name it as argument or by --key, or set COUNTERSIGN_KEY: a key URI such as awskms:///alias/agent, or the path of a key file',
  )
}

/**
 * Makes a path a `file:` URI. What has a scheme is left as it is, and so is the name of a key in a key service where there
 * is no such file: reading it says how it is written as a URI. A scheme has two letters or more: C:\ has one.
 */
function asKeyUri(given: string): string {
  const isUri =
    /^[a-z][a-z0-9+.-]+:/i.test(given) || (serviceName.test(given) && !existsSync(given))
  return isUri ? given : pathToFileURL(resolve(given)).href
}

const serviceName =
  /^(?:alias\/|projects\/|\/\/cloudkms\.|mrk-[\da-f]{32}$|[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$)/

/** A signer, and how it is let go. */
export interface OpenKey extends AsyncDisposable {
  readonly signer: Signer
}

/**
 * Opens the key that a command was given.
 *
 * The PIN and the passphrase come from `COUNTERSIGN_PIN` and `COUNTERSIGN_PASSPHRASE`, from a file, or from a
 * prompt on a terminal, and only when the key wants one.
 *
 * @throws {@link UsageError} when no key was given, or its URI is none; `SignerError` when it cannot be opened.
 */
export async function openKey(
  frame: Frame,
  argument: string | undefined,
  options: KeyOptions,
): Promise<OpenKey> {
  const uri = keyUriOf(argument, options)
  const { openUri } = await import('./open-uri.ts')
  return openUri(frame, uri, options)
}
