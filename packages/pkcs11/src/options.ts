import { resolve } from 'node:path'
import type { JwsAlgorithm, PublicKeyInput } from '@countersign/core'
import { ownOptions } from '@countersign/core/backend'

/**
 * Which token: by its label, its serial number, or the number of the slot it is in. Manufacturer and model do not name
 * a token, but must be those of the token when they are given.
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

/** The names of a selector for people. */
export function describeSelector(selector: TokenSelector | KeySelector): string {
  return Object.entries(selector)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name} ${JSON.stringify(value)}`)
    .join(' and ')
}

/** A PIN, or a function that is asked for it whenever a login is needed. */
export type Pin = string | (() => string | Promise<string>)

/** Options of {@link pkcs11Signer}. */
export interface Pkcs11SignerOptions {
  /** Path of the vendor's PKCS#11 module, such as `/usr/lib/softhsm/libsofthsm2.so`. */
  readonly module: string
  /** Which token: by label, serial number or slot number; of this manufacturer and model, if they are given. */
  readonly token: TokenSelector
  /** Which private key on it: by label, or by ID, as octets or in hexadecimal. */
  readonly key: {
    readonly label?: string | undefined
    readonly id?: string | Uint8Array | undefined
  }
  /** The user PIN, or a function that is asked for it whenever a login is needed. */
  readonly pin?: Pin | undefined
  /** The algorithm; by default the key's only one, RS256 for RSA and EdDSA for Ed25519. */
  readonly alg?: JwsAlgorithm | undefined
  /** Key ID; by default the RFC 7638 thumbprint. */
  readonly kid?: string | undefined
  /** Most sessions to sign in at once; 4 by default. */
  readonly sessions?: number | undefined
  /**
   * The public key, where the token has neither a public object nor a certificate for it; where it has, it must be this
   * one.
   */
  readonly publicKey?: PublicKeyInput | undefined
  /** What the module wants at initialisation, for those that do; NSS is one. */
  readonly libraryParameters?: string | undefined
  /**
   * Whether the module runs in a process of its own, which can hang or crash without harm and is replaced when the
   * token is lost; `true` by default. With `false` there is no such recovery.
   */
  readonly isolate?: boolean | undefined
  /**
   * Environment variables that the module needs in its own process, beyond the usual ones: names, in which `*` at the
   * end stands for the rest, as in `AWS_*`; by default the names in `COUNTERSIGN_PKCS11_ENV`, separated by commas.
   */
  readonly env?: readonly string[] | undefined
  /** Bound on one signature; 10 by default. The longest one among the signers on a token also bounds its opening. */
  readonly timeoutSeconds?: number | undefined
  /** Whether each signature is verified before it is returned; `true` by default, and always with a `publicKey` that the token does not have. */
  readonly verify?: boolean | undefined
  /** Whether to log in although the token says that one more wrong PIN locks it; `false` by default. */
  readonly allowFinalPinTry?: boolean | undefined
}

/** What is needed to reach a token. */
export interface TokenLocation {
  readonly module: string
  readonly libraryParameters: string | undefined
  readonly token: TokenSelector
  /** Most sessions to sign in at once. */
  readonly sessions: number
  /** Environment variables for the module's own process, beyond the usual ones. */
  readonly env: readonly string[]
}

/** The options of a connection to a token, which signers can share. */
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
const longestTimeout = 600

/** Checks the types of the options, before the token is asked; throws a `TypeError`. */
export function checkOptions(options: Pkcs11SignerOptions): CheckedOptions {
  const { module, pin, libraryParameters, sessions = 4, timeoutSeconds = 10 } = options
  const { isolate = true, allowFinalPinTry = false, env = namesInEnvironment() } = options
  if (typeof module !== 'string' || module === '')
    throw new TypeError('"module" must be the path of a PKCS#11 module')
  if (pin !== undefined && typeof pin !== 'string' && typeof pin !== 'function') {
    throw new TypeError('"pin" must be a string or a function that returns one')
  }
  requireText(libraryParameters, 'libraryParameters')
  if (!(Number.isInteger(sessions) && sessions >= 1 && sessions <= mostSessions)) {
    throw new TypeError(`"sessions" must be a whole number from 1 to ${mostSessions}`)
  }
  if (
    typeof timeoutSeconds !== 'number' ||
    !(timeoutSeconds > 0 && timeoutSeconds <= longestTimeout)
  ) {
    throw new TypeError(`"timeoutSeconds" must be a number above 0 and up to ${longestTimeout}`)
  }
  if (!(Array.isArray(env) && env.every(isVariable))) {
    throw new TypeError(
      '"env" must be a list of names of environment variables, such as "VENDOR_CONF" or "VENDOR_*"',
    )
  }
  requireBoolean(isolate, 'isolate')
  requireBoolean(allowFinalPinTry, 'allowFinalPinTry')
  const location = {
    // A process that is started later may have another working directory. The system's loader looks for a bare name.
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

/** The names for programs that do not pass on options, such as the command. */
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
