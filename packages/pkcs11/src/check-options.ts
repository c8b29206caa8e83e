import { resolve } from 'node:path'
import type { ConnectionSettings } from './connection.ts'
import type { KeySelector, TokenSelector } from './selector.ts'
import type { Pkcs11SignerOptions } from './signer.ts'

/** The options of a signer, each of its type. */
export interface CheckedOptions extends ConnectionSettings {
  readonly selector: KeySelector
  readonly timeoutSeconds: number
}

const mostSessions = 64
const longestTimeout = 600

/** Refuses, with a `TypeError`, what no token has to be asked about. */
export function checkOptions(options: Pkcs11SignerOptions): CheckedOptions {
  const { module, pin, libraryParameters, sessions = 4, timeoutSeconds = 10 } = options
  const { isolate = true, allowFinalPinTry = false, env = namesInEnvironment() } = options
  if (typeof module !== 'string' || module === '')
    throw new TypeError('"module" must be the path of a PKCS#11 module')
  if (pin !== undefined && typeof pin !== 'string' && typeof pin !== 'function') {
    throw new TypeError('"pin" must be a string or a function that returns one')
  }
  if (libraryParameters !== undefined && typeof libraryParameters !== 'string')
    throw new TypeError('"libraryParameters" must be a string')
  if (!(Number.isInteger(sessions) && sessions >= 1 && sessions <= mostSessions)) {
    throw new TypeError(`"sessions" must be a whole number from 1 to ${mostSessions}`)
  }
  if (
    typeof timeoutSeconds !== 'number' ||
    !(timeoutSeconds > 0 && timeoutSeconds <= longestTimeout)
  ) {
    throw new TypeError(`"timeoutSeconds" must be a number above 0 and up to ${longestTimeout}`)
  }
  if (
    !(
      Array.isArray(env) &&
      env.every((name) => typeof name === 'string' && /^[^\s=*]*[^\s=]$/.test(name))
    )
  ) {
    throw new TypeError(
      '"env" must be a list of names of environment variables, such as "VENDOR_CONF" or "VENDOR_*"',
    )
  }
  requireBoolean(isolate, 'isolate')
  requireBoolean(allowFinalPinTry, 'allowFinalPinTry')
  const location = {
    // A process that is started later may stand elsewhere. A bare name is for the system's loader to find.
    module: /[\\/]/.test(module) ? resolve(module) : module,
    libraryParameters,
    token: checkToken(options.token),
    sessions,
    env,
  }
  const selector = checkKey(options.key)
  return { location, isolate, pin, allowFinalPinTry, selector, timeoutSeconds }
}

/** The names for programs that pass no options on, such as the command. */
function namesInEnvironment(): string[] {
  return process.env['COUNTERSIGN_PKCS11_ENV']?.split(/[\s,]+/).filter((name) => name !== '') ?? []
}

function checkToken(token: TokenSelector): TokenSelector {
  const { label, serial, slot, manufacturer, model } = token ?? {}
  if (label === undefined && serial === undefined && slot === undefined) {
    throw new TypeError('"token" must have a "label", a "serial" or a "slot"')
  }
  requireText(label, 'token.label')
  requireText(serial, 'token.serial')
  requireText(manufacturer, 'token.manufacturer')
  requireText(model, 'token.model')
  if (slot !== undefined && !(Number.isSafeInteger(slot) && slot >= 0)) {
    throw new TypeError('"token.slot" must be a whole number')
  }
  return { label, serial, slot, manufacturer, model }
}

function checkKey(key: Pkcs11SignerOptions['key']): KeySelector {
  const { label, id } = key ?? {}
  if (label === undefined && id === undefined) {
    throw new TypeError('"key" must have a "label" or an "id"')
  }
  requireText(label, 'key.label')
  const hex = id instanceof Uint8Array ? Buffer.from(id).toString('hex') : id
  if (hex !== undefined && !(typeof hex === 'string' && /^(?:[0-9a-f]{2})+$/i.test(hex))) {
    throw new TypeError('"key.id" must be octets, or octets in hexadecimal')
  }
  return { label, id: hex?.toLowerCase() }
}

function requireText(value: unknown, option: string): void {
  if (value !== undefined && typeof value !== 'string')
    throw new TypeError(`"${option}" must be a string`)
}

function requireBoolean(value: unknown, option: string): void {
  if (typeof value !== 'boolean') throw new TypeError(`"${option}" must be a boolean`)
}
