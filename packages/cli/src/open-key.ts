import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { type Readable, Writable } from 'node:stream'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { type Signer, SignerError } from '@countersign/core'
import { peerError } from '@countersign/core/backend'
import {
  type KeyScheme,
  type ParsedKeyUri,
  parseKeyUri,
  type Secret,
  signerFromUri,
} from '@countersign/uri'
import { readSecretText } from '@countersign/uri/internal'
import type { Context } from './command.ts'
import { Interruption, UsageError } from './errors.ts'
import { type KeyOptions, keyUriOf } from './key-options.ts'
import { pauseProgress, registerSecret, type Sink } from './output.ts'

/** A signer, and the function that closes it. */
export interface OpenKey extends AsyncDisposable {
  readonly signer: Signer
}

/**
 * Opens the key that a command was given.
 *
 * The PIN and the passphrase come from a file, from `COUNTERSIGN_PIN` and `COUNTERSIGN_PASSPHRASE`, or from a prompt on
 * a terminal, and only when the key needs one.
 *
 * @throws {@link UsageError} when no key was given, or it is not a key URI; `SignerError` when it cannot be opened.
 */
export async function openKey(
  context: Context,
  argument: string | undefined,
  options: KeyOptions,
): Promise<OpenKey> {
  return openKeyUri(context, keyUriOf(argument, options), options)
}

/**
 * Opens the key of a URI; see {@link openKey}.
 *
 * @param entered - the secrets that were entered for this key, and those that will be: a key that is opened again needs
 *   no second prompt. A refusal clears them.
 */
export async function openKeyUri(
  context: Context,
  uri: string,
  options: KeyOptions,
  entered: Map<SecretName, string> = new Map(),
): Promise<OpenKey> {
  const { parsed, schemes } = await readKeyUri(uri, options)
  const { signal } = context
  const { timeout: timeoutSeconds, allowSharedFiles } = options
  const given = async (name: SecretName) => entered.get(name) ?? (await givenSecret(name, options))
  const ask = async (name: SecretName) => {
    const secret = await askForSecret(name, signal)
    entered.set(name, secret)
    return secret
  }
  const passphrase = async () => (await given('passphrase')) ?? ask('passphrase')
  const open = (pin: Secret | undefined) =>
    context.progress('Opening the key', () =>
      signerFromUri(uri, { pin, passphrase, signal, timeoutSeconds, allowSharedFiles, schemes }),
    )

  const pin = needsPin(parsed) ? await given('PIN') : undefined
  const signer = await open(pin).catch(async (error: unknown) => {
    entered.clear()
    // Only after a refusal: the token may have a PIN pad, or need no login.
    if (pin !== undefined || !needsPin(parsed) || !isDenied(error)) throw error
    return open(await ask('PIN'))
  })
  return { signer, [Symbol.asyncDispose]: () => signer.close() }
}

/** Parses a key URI, also one of the packages that `--scheme` names. */
export async function readKeyUri(
  uri: string,
  { scheme }: Pick<KeyOptions, 'scheme'>,
): Promise<{ readonly parsed: ParsedKeyUri; readonly schemes: readonly KeyScheme[] }> {
  const schemes = await loadSchemes(scheme)
  try {
    return { parsed: parseKeyUri(uri, { schemes }), schemes }
  } catch (error) {
    throw asUsage(error)
  }
}

/** A wrong URI, scheme or file of a secret is an error of the command line, not of the key. */
function asUsage(error: unknown): unknown {
  const isUsage = SignerError.is(error) || error instanceof TypeError
  return isUsage ? new UsageError(error.message) : error
}

const packageName = /^(?:@[a-z\d][a-z\d._~-]*\/)?[a-z\d][a-z\d._~-]*$/

/**
 * Loads the key URI schemes of packages: the array that each exports as `schemes`.
 *
 * A package is found where the command is installed, or else from the current folder. It must be named as it is in
 * `package.json`: importing it runs its code.
 *
 * @throws {@link UsageError} when a name is not the name of a package, or a package exports no schemes.
 * @throws `SignerError` `ERR_SIGNER_CONFIG` when a package is not installed, or cannot be loaded.
 */
export async function loadSchemes(names: readonly string[] = []): Promise<KeyScheme[]> {
  return (await Promise.all(names.map(loadPackage))).flat()
}

async function loadPackage(name: string): Promise<readonly KeyScheme[]> {
  if (!packageName.test(name)) {
    throw new UsageError(
      '--scheme takes the name of an installed package, such as @acme/countersign-vault, and not a path, URL or version',
    )
  }
  const { schemes } = await importPackage(name)
  if (Array.isArray(schemes)) return schemes
  throw new UsageError(
    `The package ${name} must export "schemes", an array of key URI schemes, to be named with --scheme`,
  )
}

async function importPackage(name: string): Promise<{ readonly schemes?: unknown }> {
  const { resolve } = createRequire(import.meta.url)
  const paths = [fileURLToPath(new URL('.', import.meta.url)), process.cwd()]
  try {
    return await import(pathToFileURL(resolve(name, { paths })).href)
  } catch (cause) {
    throw peerError(name, cause, 'uri')
  }
}

/** Whether the key is on a token, and its URI does not say where the PIN is. */
const needsPin = (uri: ParsedKeyUri): boolean => uri.scheme === 'pkcs11' && !('pin' in uri)

const isDenied = (error: unknown): boolean =>
  SignerError.is(error) && error.code === 'ERR_SIGNER_ACCESS_DENIED'

/** The secrets of a key. */
export type SecretName = 'PIN' | 'passphrase'

const variableOf = (name: SecretName): string => `COUNTERSIGN_${name.toUpperCase()}`

/** Returns the secret from its file, or else from its environment variable; `undefined` when neither is given. */
export async function givenSecret(
  name: SecretName,
  options: Pick<KeyOptions, 'pinFile' | 'passphraseFile' | 'allowSharedFiles'>,
): Promise<string | undefined> {
  const path = name === 'PIN' ? options.pinFile : options.passphraseFile
  const secret = path
    ? await readSecretText({
        path,
        secret: name,
        absent: 'ERR_SIGNER_CONFIG',
        maxOctets: 4096,
        allowShared: options.allowSharedFiles ?? false,
        allowStreams: true,
      }).catch((error) => {
        throw asUsage(error)
      })
    : process.env[variableOf(name)]
  if (!secret) return undefined
  registerSecret(secret)
  return secret
}

/** Asks for a secret on the terminal; refuses, with the other ways to give it, when there is no terminal. */
async function askForSecret(name: SecretName, signal: AbortSignal): Promise<string> {
  const { stdin: input, stderr: output } = process
  if (!input.isTTY || !output.isTTY) {
    throw new UsageError(
      `The key needs its ${name}; give it with --${name.toLowerCase()}-file or ${variableOf(name)}, or run the command on a terminal, where it asks`,
    )
  }
  const secret = await promptForSecret(`${name} of the key`, { input, output, signal })
  if (secret === '') throw new UsageError(`No ${name} was entered`)
  registerSecret(secret)
  return secret
}

/** The terminal of {@link promptForSecret}, and a signal that ends the prompt. */
export interface PromptOptions {
  readonly input: Readable
  readonly output: Sink
  readonly signal: AbortSignal
}

/**
 * Asks for a secret on a terminal, without showing what is typed.
 *
 * @throws `signal.reason` when aborted; {@link Interruption} on Ctrl-C and Ctrl-D.
 */
export async function promptForSecret(
  question: string,
  { input, output, signal }: PromptOptions,
): Promise<string> {
  signal.throwIfAborted()
  // The line editor echoes what is typed to its output.
  const discard = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input, output: discard, terminal: true, historySize: 0 })
  output.write(`${question}: `)
  const resumeProgress = pauseProgress()
  try {
    return await new Promise<string>((resolve, reject) => {
      const aborted = () => reject(signal.reason)
      signal.addEventListener('abort', aborted, { once: true })
      lines.once('line', resolve)
      // In raw mode, Ctrl-C arrives as a character.
      lines.once('SIGINT', () => reject(new Interruption('interrupted at the prompt')))
      lines.once('close', () => {
        signal.removeEventListener('abort', aborted)
        reject(new Interruption('nothing was entered at the prompt'))
      })
    })
  } finally {
    resumeProgress()
    lines.close()
    output.write('\n')
  }
}
