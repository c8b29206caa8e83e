import { type Attributes, textOf } from './attributes.ts'
import { readFilePath, writeFilePath } from './file-form.ts'
import type { PinSource } from './key-uri.ts'
import { refused } from './refusal.ts'

const accepted = 'write pin-source=file:/absolute/path or pin-source=env:NAME'

/** Reads where the PIN is, RFC 7512 §2.4; environment variables are ours. */
export function readPin(attributes: Attributes): { pin?: PinSource } {
  const source = textOf(attributes, 'pin-source')
  const value = textOf(attributes, 'pin-value')
  if (source !== undefined && value !== undefined) {
    throw refused('This pkcs11: URI has both "pin-source" and "pin-value"; leave "pin-value" out')
  }
  if (value !== undefined) return { pin: { from: 'value', reveal: () => value } }
  return source === undefined ? {} : { pin: readSource(source) }
}

/** The `pin-source` of a PIN that is not in the URI itself. */
export function writePin(pin: PinSource | undefined): string | undefined {
  if (pin === undefined || pin.from === 'value') return undefined
  return pin.from === 'env' ? `env:${pin.name}` : writeFilePath(pin.path)
}

function readSource(source: string): PinSource {
  const colon = source.indexOf(':')
  const scheme = source.slice(0, Math.max(colon, 0))
  const rest = source.slice(colon + 1)
  if (scheme === 'file') {
    if (/[?#]/.test(rest))
      throw refused(`The attribute "pin-source" has more than a path; ${accepted}`)
    return { from: 'file', path: readFilePath(rest, 'The attribute "pin-source"') }
  }
  if (scheme === 'env' && /^[A-Za-z_]\w*$/.test(rest)) return { from: 'env', name: rest }
  if (source.startsWith('|')) {
    throw refused(
      `The attribute "pin-source" is a command, and none is run from a URI; ${accepted}`,
    )
  }
  throw refused(`The attribute "pin-source" names neither a file nor a variable; ${accepted}`)
}
