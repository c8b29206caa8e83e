import type { Frame } from './frame.ts'
import type { KeyOptions } from './key-option.ts'
import { promptForSecret } from './prompt.ts'
import { keepSecret } from './redact.ts'
import { readSecretFile } from './secret-file.ts'
import { UsageError } from './usage-error.ts'

/** What a key may want before it signs. */
export type SecretName = 'PIN' | 'passphrase'

/**
 * The secret that was given by file or environment, in this order.
 *
 * @returns `undefined` when none was.
 */
export async function givenSecret(
  name: SecretName,
  options: Pick<KeyOptions, 'pinFile' | 'passphraseFile' | 'allowSharedFiles'>,
): Promise<string | undefined> {
  const file = name === 'PIN' ? options.pinFile : options.passphraseFile
  const secret = file
    ? await readSecretFile(file, name, options.allowSharedFiles ?? false)
    : process.env[variableOf(name)]
  if (!secret) return undefined
  keepSecret(secret)
  return secret
}

/**
 * Asks for a secret on the terminal that the command runs on.
 *
 * @throws {@link UsageError} when it runs on none, with how else to give the secret.
 */
export async function askForSecret(
  name: SecretName,
  { signal }: Pick<Frame, 'signal'>,
): Promise<string> {
  const { stdin: input, stderr: output } = process
  if (!input.isTTY || !output.isTTY) {
    throw new UsageError(
      `The key wants its ${name}; give it by --${name.toLowerCase()}-file or ${variableOf(name)}, or run this on a terminal to be asked`,
    )
  }
  const secret = await promptForSecret(`${name} of the key`, { input, output, signal })
  if (secret === '') throw new UsageError(`No ${name} was entered`)
  keepSecret(secret)
  return secret
}

const variableOf = (name: SecretName): string => `COUNTERSIGN_${name.toUpperCase()}`
