import type { PinSource } from './key-uri.ts'
import type { Secret } from './options.ts'
import { readSecretFile } from './read-secret-file.ts'
import { refused } from './refusal.ts'

/** What fetches the PIN anew for each login, so that a changed one is found. */
export function pinFrom(pin: PinSource, allowSharedFiles: boolean): Secret {
  if (pin.from === 'value') return pin.reveal
  return pin.from === 'env'
    ? () => fromEnvironment(pin.name)
    : () => fromFile(pin.path, allowSharedFiles)
}

function fromEnvironment(name: string): string {
  const pin = process.env[name]
  if (pin) return pin
  throw refused(
    `The environment variable ${name}, which "pin-source" names, is not set; set it to the PIN`,
  )
}

async function fromFile(path: string, allowSharedFiles: boolean): Promise<string> {
  const file = {
    path,
    what: 'The PIN file',
    absent: 'ERR_SIGNER_CONFIG',
    mostOctets: 1024,
  } as const
  const octets = await readSecretFile(file, allowSharedFiles)
  const pin = readUtf8(octets, path).replace(/\r?\n$/, '')
  if (pin !== '') return pin
  throw refused(`The PIN file ${JSON.stringify(path)} is empty; write the PIN into it`)
}

function readUtf8(octets: Buffer, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(octets)
  } catch {
    // The cause is left out, since it may quote what it could not read.
    throw refused(`The PIN file ${JSON.stringify(path)} is not text in UTF-8`)
  }
}
