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
  options: Pick<KeyOptions, 'pinFile' | 'passphraseFile' | 'allowSharedFiles'>,
): KeySecrets {
  const { pinFile, passphraseFile, allowSharedFiles: shared = false } = options
  const ask = (wanted: Omit<Wanted, 'shared'>) => once(() => find(frame, { ...wanted, shared }))
  return {
    pin: ask({ what: 'PIN', file: pinFile }),
    passphrase: ask({ what: 'passphrase', file: passphraseFile }),
  }
}

interface Wanted {
  readonly what: 'PIN' | 'passphrase'
  readonly file: string | undefined
  /** Whether the file may be readable to others than its owner. */
  readonly shared: boolean
}

async function find({ signal }: Pick<Frame, 'signal'>, wanted: Wanted): Promise<string> {
  const { what, file, shared } = wanted
  const variable = `COUNTERSIGN_${what.toUpperCase()}`
  const secret = file ? await readSecretFile(file, what, shared) : process.env[variable]
  if (secret) {
    keepSecret(secret)
    return secret
  }
  const { stdin: input, stderr: output } = process
  if (!input.isTTY || !output.isTTY) {
    throw new UsageError(
      `The key wants its ${what}; give it by --${what.toLowerCase()}-file or ${variable}, or run this on a terminal to be asked`,
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
