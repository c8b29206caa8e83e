import type { Frame } from './frame.ts'
import type { KeyOptions } from './key-option.ts'
import { promptForSecret } from './prompt.ts'
import { keepSecret } from './redact.ts'
import { readSecretFile } from './secret-file.ts'
import { UsageError } from './usage-error.ts'

/** What a key may ask for, and is asked for once only. */
export interface KeySecrets {
  readonly pin: () => Promise<string>
  readonly passphrase: () => Promise<string>
}

/** Where PIN and passphrase come from: a file, the environment, or a prompt on a terminal, in this order. */
export function keySecrets(
  frame: Pick<Frame, 'signal'>,
  { pinFile, passphraseFile }: Pick<KeyOptions, 'pinFile' | 'passphraseFile'>,
): KeySecrets {
  return {
    pin: once(() => find(frame, { what: 'PIN', file: pinFile, name: 'PIN', option: '--pin-file' })),
    passphrase: once(() =>
      find(frame, {
        what: 'passphrase',
        file: passphraseFile,
        name: 'PASSPHRASE',
        option: '--passphrase-file',
      }),
    ),
  }
}

interface Wanted {
  readonly what: string
  readonly file: string | undefined
  readonly name: string
  readonly option: string
}

async function find({ signal }: Pick<Frame, 'signal'>, wanted: Wanted): Promise<string> {
  const { what, file, name, option } = wanted
  const variable = `COUNTERSIGN_${name}`
  const secret = file ? await readSecretFile(file, what) : process.env[variable]
  if (secret) {
    keepSecret(secret)
    return secret
  }
  const { stdin: input, stderr: output } = process
  if (!input.isTTY || !output.isTTY) {
    throw new UsageError(
      `The key wants its ${what}; give it by ${option} or ${variable}, or run this on a terminal to be asked`,
    )
  }
  const entered = await promptForSecret(`${what} of the key`, { input, output, signal })
  if (entered === '') throw new UsageError(`No ${what} was entered`)
  keepSecret(entered)
  return entered
}

/** Whoever asks again gets the same answer: a person is not asked twice. */
function once<T>(ask: () => Promise<T>): () => Promise<T> {
  let asked: Promise<T> | undefined
  return () => {
    asked ??= ask()
    return asked
  }
}
