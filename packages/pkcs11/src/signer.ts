import { createHmac, randomBytes } from 'node:crypto'
import {
  type ClosableSigner,
  createSigner,
  type JwsAlgorithm,
  type PublicKeyInput,
  type Signer,
  SignerError,
  thumbprint,
} from '@countersign/core'
import { chooseAlgorithm, ownOptions } from '@countersign/core/backend'
import { possibleAlgorithms, signingMethod } from './algorithms.ts'
import { Connection } from './connection.ts'
import { backend, closed, failure } from './errors.ts'
import { algorithmsOf, type KeyDescription, type KeyOnToken, publicKeyOnToken } from './key.ts'
import {
  type ConnectionOptions,
  checkOptions,
  type Pin,
  type Pkcs11SignerOptions,
} from './options.ts'
import { askForPin } from './pin.ts'

/** A signer over a token, which `close()` or `await using` gives back. */
export interface Pkcs11Signer extends ClosableSigner {
  /** Gives the token back; the last signer that shares it ends its process and its login. */
  close(): Promise<void>
}

/**
 * Makes a signer over a key on a PKCS#11 token: an HSM, a smart card, a TPM.
 *
 * The vendor's module runs in a child process of its own, one for each module and token, so that a hang, a crash or a
 * lost token ends in an error here and in nothing worse; signers on one token share it, its login and its sessions. A
 * token that went away is found again. A PIN that the token refused is never tried a second time, and a signer whose
 * PIN was refused logs in no more.
 *
 * @param given - module, token, key and PIN.
 * @returns a frozen signer. An open one keeps no process alive.
 * @throws {@link SignerError} `ERR_SIGNER_CONFIG` when module, token or options do not fit, with what there is;
 *   `ERR_SIGNER_KEY_NOT_FOUND` with the keys there are; `ERR_SIGNER_KEY_UNSUPPORTED` when key or token cannot make the
 *   signature; `ERR_SIGNER_ACCESS_DENIED` when the PIN is wrong, locked, or not to be tried;
 *   `ERR_SIGNER_UNAVAILABLE` and `ERR_SIGNER_TIMEOUT` when the token does not answer; `ERR_SIGNER_INTEGRITY` when the
 *   public key is not that of the private key.
 * @throws `TypeError` when an option is not of its type.
 *
 * @example
 * ```ts
 * import { readFile } from 'node:fs/promises'
 * import { pkcs11Signer } from '@countersign/pkcs11'
 *
 * const signer = await pkcs11Signer({
 *   module: '/usr/lib/softhsm/libsofthsm2.so',
 *   token: { label: 'agents' },
 *   key: { label: 'billing-agent' },
 *   pin: async () => (await readFile('/run/secrets/pin', 'utf8')).trim(),
 * })
 * console.log(signer.alg, signer.kid)
 * await signer.close()
 * ```
 *
 * @see [PKCS #11 Specification Version 3.1](https://docs.oasis-open.org/pkcs11/pkcs11-spec/v3.1/pkcs11-spec-v3.1.html)
 */
export async function pkcs11Signer(given: Pkcs11SignerOptions): Promise<Pkcs11Signer> {
  const options = ownOptions(given)
  const { connection: wanted, selector, timeoutSeconds } = checkOptions(options)
  const { connection, release } = await shareConnection(wanted, timeoutSeconds)
  let isOpen = true
  const close = () => {
    isOpen = false
    return release()
  }
  try {
    const key = await connection.describeKey(selector)
    const alg = chooseAlgorithm(options.alg, byMechanism(key), backend)
    const method = signingMethod(alg, key.mechanisms)
    if (method === undefined) throw impossible(alg, key.mechanisms)
    const bound = { selector, identity: key.identity }
    const own = publicKeyOnToken(key)
    const make = (publicKey: PublicKeyInput, verify: boolean | undefined) =>
      createSigner(
        {
          name: backend,
          alg,
          publicKey,
          sign(request) {
            if (!isOpen) throw closed()
            return connection.sign(bound, method.mechanism, method.input(request), request)
          },
        },
        { kid: options.kid, timeoutSeconds, verify },
      )
    const publicKey = requirePublicKey(own ?? options.publicKey, key)
    const trial = make(publicKey, true)
    if (options.publicKey !== undefined) requireSameKey(make(options.publicKey, true), trial)
    await trial.sign(Buffer.from('countersign')).catch((error) => {
      throw own === undefined && isIntegrity(error) ? notThisKey() : error
    })
    // Without a public half on the token, nothing else would tell that the key was replaced.
    const signer = make(publicKey, own === undefined || options.verify)
    return Object.freeze({ ...signer, close, [Symbol.asyncDispose]: close })
  } catch (error) {
    await close()
    throw error
  }
}

/** The algorithms of a key, first those that its token has a mechanism for. */
function byMechanism(key: KeyDescription): JwsAlgorithm[] {
  const has = (alg: JwsAlgorithm) => Number(signingMethod(alg, key.mechanisms) !== undefined)
  return [...algorithmsOf(key)].sort((one, other) => has(other) - has(one))
}

function impossible(alg: JwsAlgorithm, mechanisms: readonly number[]): SignerError {
  const possible = possibleAlgorithms(mechanisms).join(', ') || 'no JWS signature at all'
  return failure(
    'ERR_SIGNER_KEY_UNSUPPORTED',
    `The token has no mechanism for ${alg}; it can make ${possible}`,
  )
}

function requirePublicKey(found: PublicKeyInput | undefined, key: KeyOnToken): PublicKeyInput {
  if (found !== undefined) return found
  throw failure(
    'ERR_SIGNER_CONFIG',
    `The token has no public key and no certificate for the key ${JSON.stringify(key.label)} (id ${key.id || 'none'}); give its "publicKey"`,
  )
}

function requireSameKey(given: Signer, found: Signer): void {
  if (thumbprint({ ...given.publicJwk }) !== thumbprint({ ...found.publicJwk })) throw notThisKey()
}

function isIntegrity(error: unknown): boolean {
  return SignerError.is(error) && error.code === 'ERR_SIGNER_INTEGRITY'
}

function notThisKey(): SignerError {
  return failure(
    'ERR_SIGNER_INTEGRITY',
    'The "publicKey" that was given is not that of the private key on the token; check "key" and "publicKey"',
  )
}

interface Shared {
  readonly options: ConnectionOptions
  readonly connection: Connection
  users: number
}

/** A connection, and how to give it back. */
interface Lease {
  readonly connection: Connection
  readonly release: () => Promise<void>
}

const shared = new Map<string, Shared>()
const secret = randomBytes(32)
const functions = new WeakMap<() => unknown, number>()
let functionsSeen = 0

/**
 * The connection to a token, the one that is there already if there is one.
 *
 * @param seconds - for how long a call may take.
 */
async function shareConnection(options: ConnectionOptions, seconds: number): Promise<Lease> {
  const name = nameOf(options)
  let entry = usable(shared.get(name))
  if (entry === undefined) {
    const candidates = [...shared.values()].filter((one) => isAlike(one, options))
    if (candidates.length > 0) entry = await findSharable(candidates, options)
  }
  // Another call may have added it meanwhile.
  entry ??= usable(shared.get(name))
  if (entry === undefined) {
    entry = { options, connection: new Connection(options), users: 0 }
    shared.set(name, entry)
  }
  const { connection } = entry
  connection.allowSeconds(seconds)
  entry.users++
  let released = false
  return {
    connection,
    async release() {
      if (released) return
      released = true
      entry.users--
      if (entry.users > 0) return
      const own = nameOf(entry.options)
      if (shared.get(own) === entry) shared.delete(own)
      await connection.close()
    },
  }
}

/** A new signer does not inherit the refused PIN or the lost token of another one. */
function usable(entry: Shared | undefined): Shared | undefined {
  return entry?.connection.usable ? entry : undefined
}

/** Whether two connections differ at most in how they name the token and its PIN. */
function isAlike({ options, connection }: Shared, wanted: ConnectionOptions): boolean {
  const rest = ({ location, isolate, allowFinalPinTry }: ConnectionOptions) =>
    JSON.stringify([{ ...location, token: undefined }, isolate, allowFinalPinTry])
  return connection.usable && rest(options) === rest(wanted)
}

/** Finds a connection to the same token under another name of it, or with another function for the same PIN. */
async function findSharable(
  candidates: readonly Shared[],
  { location, pin }: ConnectionOptions,
): Promise<Shared | undefined> {
  for (const candidate of candidates) {
    const { connection } = candidate
    if (!(await connection.reaches(location.token))) continue
    const own = pin === undefined ? undefined : await askForPin(pin)
    if (connection.hasPin(own) && candidate.users > 0) return candidate
  }
  return undefined
}

function nameOf({ location, isolate, allowFinalPinTry, pin }: ConnectionOptions): string {
  return JSON.stringify([location, isolate, allowFinalPinTry, pinName(pin)])
}

/** Tells two PINs apart without being one. A signer with another PIN has to log in for itself. */
function pinName(pin: Pin | undefined): string | number | undefined {
  if (typeof pin !== 'function') {
    return pin && createHmac('sha256', secret).update(pin).digest('base64url')
  }
  const known = functions.get(pin) ?? ++functionsSeen
  functions.set(pin, known)
  return known
}
