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
import { chooseAlgorithm, closable, ownOptions, unlessAborted } from '@countersign/core/backend'
import { possibleAlgorithms, signingMethod } from './algorithms.ts'
import { Connection } from './connection.ts'
import { backend, failure } from './errors.ts'
import { algorithmsOf, type KeyDescription, type KeyOnToken, publicKeyOnToken } from './key.ts'
import {
  type ConnectionOptions,
  checkOptions,
  type KeySelector,
  type Pin,
  type Pkcs11SignerOptions,
} from './options.ts'
import { askForPin } from './pin.ts'

/**
 * Makes a signer over a key on a PKCS#11 token: an HSM, a smart card, a TPM.
 *
 * The vendor's module runs in a subprocess, one for each module and token. Signers on one token share it, its login and
 * its sessions. When it hangs, crashes or loses the token, it is replaced, and the call is made once more. A PIN that the
 * token refused is never tried again, and a signer whose PIN was refused does not log in again.
 *
 * @param given - module, token, key and PIN.
 * @returns a frozen signer that has signed once. It keeps no process alive. `close()` of the last signer on a token ends
 *   the subprocess and the login.
 * @throws {@link SignerError} `ERR_SIGNER_CONFIG` when module, token or options do not fit; the message lists the
 *   tokens. `ERR_SIGNER_KEY_NOT_FOUND` with the keys on the token; `ERR_SIGNER_KEY_UNSUPPORTED` when the key or the token
 *   does not have the algorithm; `ERR_SIGNER_ACCESS_DENIED` when the PIN is wrong, locked, or must not be tried;
 *   `ERR_SIGNER_UNAVAILABLE` and `ERR_SIGNER_TIMEOUT` when the token does not answer; `ERR_SIGNER_INTEGRITY` when the
 *   public key does not belong to the private key. `signal.reason` when aborted.
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
export async function pkcs11Signer(given: Pkcs11SignerOptions): Promise<ClosableSigner> {
  const options = ownOptions(given)
  const { signal } = options
  const { connection: wanted, selector, timeoutSeconds } = checkOptions(options)
  signal?.throwIfAborted()
  const sharing = shareConnection(wanted, timeoutSeconds)
  const loading = sharing.then(({ connection }) => loadKey(connection, selector, options))
  try {
    const signer = await unlessAborted(loading, signal)
    return closable(signer, backend, async () => (await sharing).release())
  } catch (error) {
    const releasing = sharing.then(({ release }) => release())
    // After an abort this does not wait, since the token may hang.
    await unlessAborted(releasing, signal).catch(() => {})
    throw error
  }
}

/** Makes a signer over a key, which signs once. */
async function loadKey(
  connection: Connection,
  selector: KeySelector,
  options: Pkcs11SignerOptions,
): Promise<Signer> {
  const { kid, timeoutSeconds, verify } = options
  const key = await connection.describeKey(selector)
  const alg = chooseAlgorithm(options.alg, byMechanism(key), backend)
  const method = signingMethod(alg, key.mechanisms)
  if (method === undefined) throw unsupported(alg, key.mechanisms)
  const bound = { selector, identity: key.identity }
  const own = publicKeyOnToken(key)
  const make = (publicKey: PublicKeyInput, verify: boolean | undefined) =>
    createSigner(
      {
        name: backend,
        alg,
        publicKey,
        sign: (request) => connection.sign(bound, method.mechanism, method.input(request), request),
      },
      { kid, timeoutSeconds, verify },
    )
  const publicKey = requirePublicKey(own ?? options.publicKey, key)
  const trial = make(publicKey, true)
  if (options.publicKey !== undefined) requireSameKey(make(options.publicKey, true), trial)
  await trial.sign(Buffer.from('countersign')).catch((error) => {
    throw own === undefined && isIntegrity(error) ? anotherKey() : error
  })
  // If the token has no public half, only verification shows that the key was replaced.
  return make(publicKey, own === undefined || verify)
}

/** The algorithms of a key; those that the token has a mechanism for are first. */
function byMechanism(key: KeyDescription): JwsAlgorithm[] {
  const has = (alg: JwsAlgorithm) => Number(signingMethod(alg, key.mechanisms) !== undefined)
  return [...algorithmsOf(key)].sort((one, other) => has(other) - has(one))
}

function unsupported(alg: JwsAlgorithm, mechanisms: readonly number[]): SignerError {
  const possible = possibleAlgorithms(mechanisms).join(', ') || 'no JWS algorithm'
  return failure(
    'ERR_SIGNER_KEY_UNSUPPORTED',
    `The token has no mechanism for ${alg}; it has those for ${possible}`,
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
  if (thumbprint({ ...given.publicJwk }) !== thumbprint({ ...found.publicJwk })) throw anotherKey()
}

function isIntegrity(error: unknown): boolean {
  return SignerError.is(error) && error.code === 'ERR_SIGNER_INTEGRITY'
}

function anotherKey(): SignerError {
  return failure(
    'ERR_SIGNER_INTEGRITY',
    'The option "publicKey" does not belong to the private key on the token; check "key" and "publicKey"',
  )
}

interface Shared {
  readonly options: ConnectionOptions
  readonly connection: Connection
  users: number
}

/** A connection, and a function to release it. */
interface Lease {
  readonly connection: Connection
  readonly release: () => Promise<void>
}

const shared = new Map<string, Shared>()
const secret = randomBytes(32)
const functions = new WeakMap<() => unknown, number>()
let functionsSeen = 0

/**
 * Returns the connection to a token: an open one if there is one, or else a new one.
 *
 * @param seconds - how long a call may take.
 */
async function shareConnection(options: ConnectionOptions, seconds: number): Promise<Lease> {
  const name = nameOf(options)
  let entry = usable(shared.get(name))
  if (entry === undefined) {
    const candidates = [...shared.values()].filter((one) => isAlike(one, options))
    if (candidates.length > 0) entry = await findSharable(candidates, options)
  }
  // Another call may have added one meanwhile.
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

/** A new signer does not share a connection whose PIN was refused or whose token is lost. */
function usable(entry: Shared | undefined): Shared | undefined {
  return entry?.connection.usable ? entry : undefined
}

/** Whether two connections differ at most in the names of the token and in the PIN. */
function isAlike({ options, connection }: Shared, wanted: ConnectionOptions): boolean {
  const rest = ({ location, isolate, allowFinalPinTry }: ConnectionOptions) =>
    JSON.stringify([{ ...location, token: undefined }, isolate, allowFinalPinTry])
  return connection.usable && rest(options) === rest(wanted)
}

/** Finds a connection to the same token by another name, or with another function for the same PIN. */
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

/** Identifies a PIN without containing it. A signer with another PIN must log in itself. */
function pinName(pin: Pin | undefined): string | number | undefined {
  if (typeof pin !== 'function') {
    return pin && createHmac('sha256', secret).update(pin).digest('base64url')
  }
  const known = functions.get(pin) ?? ++functionsSeen
  functions.set(pin, known)
  return known
}
