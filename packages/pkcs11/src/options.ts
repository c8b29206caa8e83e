import { resolve } from 'node:path'
import type { PublicKeyInput } from '@countersign/core'
import {
  type LoadSignerOptions,
  ownOptions,
  requireSignal,
  requireString,
  requireTimeout,
} from '@countersign/core/backend'

/**
 * Which token: by its label, its serial number, or the number of its slot. `manufacturer` and `model` do not identify a
 * token, but if they are given, the token must have them.
 */
export interface TokenSelector {
  readonly label?: string | undefined
  readonly serial?: string | undefined
  readonly slot?: number | undefined
  readonly manufacturer?: string | undefined
  readonly model?: string | undefined
}

/** Which key: by its label, or by its ID in hexadecimal. */
export interface KeySelector {
  readonly label?: string | undefined
  readonly id?: string | undefined
}

/** Describes a selector in an error. */
export function describeSelector(selector: TokenSelector | KeySelector): string {
  return Object.entries(selector)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name} ${JSON.stringify(value)}`)
    .join(' and ')
}

/** A PIN, or a function that is called for it at each login. */
export type Pin = string | (() => string | Promise<string>)

/** Options of {@link pkcs11Signer}. The longest `timeoutSeconds` of the signers on a token also bounds opening it. */
export interface Pkcs11SignerOptions extends LoadSignerOptions {
  /** Path of the vendor's PKCS#11 module, such as `/usr/lib/softhsm/libsofthsm2.so`. */
  readonly module: string
  /** Which token: by label, serial number or slot number. */
  readonly token: TokenSelector
  /** Which private key on the token: by label, or by ID, as octets or in hexadecimal. */
  readonly key: {
    readonly label?: string | undefined
    readonly id?: string | Uint8Array | undefined
  }
  /** The user PIN, or a function that is called for it at each login. */
  readonly pin?: Pin | undefined
  /** How many sessions sign at the same time at most; 4 by default. */
  readonly sessions?: number | undefined
  /**
   * The public key, if the token has neither a public object nor a certificate for it. If it has one, that must be the
   * same key. Signatures with a key that the token has no public half of are always verified.
   */
  readonly publicKey?: PublicKeyInput | undefined
  /** Parameters that some modules need at initialisation, such as NSS. */
  readonly libraryParameters?: string | undefined
  /**
   * Whether the module runs in a subprocess, which is replaced when it hangs, crashes or loses the token; `true` by
   * default. With `false` nothing is recovered.
   */
  readonly isolate?: boolean | undefined
  /**
   * Names of environment variables that the module needs in its subprocess, in addition to the usual ones. A `*` at the
   * end stands for the rest of a name, as in `AWS_*`. By default the names in `COUNTERSIGN_PKCS11_ENV`, separated by commas.
   */
  readonly env?: readonly string[] | undefined
  /** Whether to log in although the token reports that one more wrong PIN locks it; `false` by default. */
  readonly allowFinalPinTry?: boolean | undefined
}

/** Where a token is. */
export interface TokenLocation {
  readonly module: string
  readonly libraryParameters: string | undefined
  readonly token: TokenSelector
  /** How many sessions sign at the same time at most. */
  readonly sessions: number
  /** Names of environment variables for the subprocess, in addition to the usual ones. */
  readonly env: readonly string[]
}

/** The options of a connection that signers can share. */
export interface ConnectionOptions {
  readonly location: TokenLocation
  readonly isolate: boolean
  readonly pin: Pin | undefined
  readonly allowFinalPinTry: boolean
}

interface CheckedOptions {
  readonly connection: ConnectionOptions
  readonly selector: KeySelector
  readonly timeoutSeconds: number
}

const mostSessions = 64

/** Checks the types of the options; throws a `TypeError`. */
export function checkOptions(options: Pkcs11SignerOptions): CheckedOptions {
  const { module, pin, libraryParameters, sessions = 4, timeoutSeconds = 10 } = options
  const { isolate = true, allowFinalPinTry = false, env = namesInEnvironment() } = options
  requireString(module, 'module')
  if (pin !== undefined && typeof pin !== 'string' && typeof pin !== 'function') {
    throw new TypeError('"pin" must be a string or a function that returns one')
  }
  requireText(libraryParameters, 'libraryParameters')
  if (!(Number.isInteger(sessions) && sessions >= 1 && sessions <= mostSessions)) {
    throw new TypeError(`"sessions" must be a whole number from 1 to ${mostSessions}`)
  }
  requireTimeout(timeoutSeconds)
  requireSignal(options.signal)
  if (!(Array.isArray(env) && env.every(isVariable))) {
    throw new TypeError(
      '"env" must be a list of names of environment variables, such as "VENDOR_CONF" or "VENDOR_*"',
    )
  }
  requireBoolean(isolate, 'isolate')
  requireBoolean(allowFinalPinTry, 'allowFinalPinTry')
  const location = {
    // A later subprocess may have another working directory. The system's loader searches for a bare name.
    module: /[\\/]/.test(module) ? resolve(module) : module,
    libraryParameters,
    token: checkToken(options.token),
    sessions,
    env,
  }
  const connection = { location, isolate, pin, allowFinalPinTry }
  return { connection, selector: checkKey(options.key), timeoutSeconds }
}

function isVariable(name: unknown): boolean {
  return typeof name === 'string' && /^[^\s=*]*[^\s=]$/.test(name)
}

/** The names that COUNTERSIGN_PKCS11_ENV has, for programs without this option, such as the command. */
function namesInEnvironment(): string[] {
  return process.env['COUNTERSIGN_PKCS11_ENV']?.split(/[\s,]+/).filter((name) => name !== '') ?? []
}

function checkToken(token: TokenSelector): TokenSelector {
  const { label, serial, slot, manufacturer, model } = ownOptions(token ?? {})
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
  const { label, id } = ownOptions(key ?? {})
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
