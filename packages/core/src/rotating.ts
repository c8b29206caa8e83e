import { unlessAborted } from './abort.ts'
import { backoff } from './backoff.ts'
import { type RotationMessage, rotationReport } from './diagnostics.ts'
import { SignerError, type SignerErrorCode } from './error.ts'
import { identityOf, type LoadedSigner, type LoadSigner, loadWithin } from './loaded-signer.ts'
import { ownOptions, requireTimeout } from './options.ts'
import type { RotatingSigner, Signer } from './signer.ts'

/** Options of {@link rotating}. */
export interface RotatingOptions {
  /** Age in seconds at which the next use loads the key again in the background; 3600 by default. */
  readonly maxAgeSeconds?: number | undefined
  /** Bound on one load; 30 by default. */
  readonly timeoutSeconds?: number | undefined
  /** The clock, in milliseconds since the epoch; `Date.now` by default. */
  readonly now?: (() => number) | undefined
}

type Cause = RotationMessage['cause']
type Signal = AbortSignal | undefined

// Not the codes of a service that is busy or down, which do not concern the key, and not those that another attempt may
// make worse, such as a wrong PIN.
const anotherKey: ReadonlySet<SignerErrorCode> = new Set([
  'ERR_SIGNER_KEY_DISABLED',
  'ERR_SIGNER_KEY_NOT_FOUND',
  'ERR_SIGNER_INTEGRITY',
])

/**
 * Makes a source of signatures that follows its key from one version to the next.
 *
 * The key is loaded immediately. It is loaded again in the background when it is used at the age of `maxAgeSeconds` or
 * later. It is loaded again immediately, once for all callers, when a signature fails because the key is disabled,
 * missing or replaced; that signature is then made once more. After a failed load the signer in use stays, and the next
 * load waits up to one second, then two, four, up to a minute. A signer that was replaced is closed after its last use,
 * if it has a `close()`. No timer keeps the process alive. Each load is reported on the diagnostics channel
 * `countersign:rotation`.
 *
 * @param load - makes a signer; called for each load, and never twice at the same time.
 * @param options - age, and a bound on one load, in seconds.
 * @returns the source, before the key is loaded. It throws what `load` throws, {@link SignerError} `ERR_SIGNER_TIMEOUT` when a load takes
 *   too long, and `ERR_SIGNER_CONFIG` after `close()`.
 * @throws `TypeError` when an argument is not of its type.
 *
 * @example
 * ```ts
 * import { clientAssertion, rotating, type Signer } from '@countersign/core'
 *
 * declare function loadKey(options: { signal: AbortSignal }): Promise<Signer>
 *
 * const source = await rotating(loadKey, { maxAgeSeconds: 600 }).ready()
 * const assertion = await clientAssertion(source, {
 *   clientId: 'billing-agent',
 *   audience: 'https://as.example.com',
 * })
 * ```
 *
 * @see [NIST SP 800-57 part 1, §5.3](https://doi.org/10.6028/NIST.SP.800-57pt1r5)
 */
export function rotating(load: LoadSigner, options: RotatingOptions = {}): RotatingSigner {
  const { maxAgeSeconds, timeoutSeconds, now } = readOptions(options)
  if (typeof load !== 'function') throw new TypeError('the first argument must be a function')
  let current: LoadedSigner | undefined
  let loadedAt = 0
  let pending: { readonly cause: Cause; readonly outcome: Promise<void> } | undefined
  let failure: unknown
  // Separate, so that a server that refuses everything does not delay the replacement of a key that is missing.
  const delays = { age: backoff(now), failure: backoff(now), refusal: backoff(now) }
  const closing = new AbortController()
  const retiring = new Set<Promise<void>>()
  // These are closed after their last use, and not when a load that returns them again is too late.
  const taken = new WeakSet<Signer>()

  function start(cause: Cause): { readonly outcome: Promise<void> } {
    const outcome = reload(cause).finally(() => {
      pending = undefined
    })
    // A load in the background has no waiting caller.
    outcome.catch(() => {})
    pending = { cause, outcome }
    return pending
  }

  async function reload(cause: Cause): Promise<void> {
    const report = rotationReport(cause, current?.signer)
    try {
      const loaded = await loadWithin(load, timeoutSeconds, closing.signal, taken)
      if (closing.signal.aborted) retire(loaded)
      requireOpen()
      loadedAt = now()
      delays.age.succeeded()
      take(loaded, cause)
      report(current?.signer)
    } catch (reason) {
      if (closing.signal.aborted) throw closed()
      failure = reason
      delays.age.failed()
      if (cause === 'failure' || cause === 'refusal') delays[cause].failed()
      report(current?.signer, { reason })
      throw reason
    }
  }

  function take(loaded: LoadedSigner, cause: Cause): void {
    const before = current
    if (before?.identity === loaded.identity) {
      if (cause === 'failure' || cause === 'refusal') delays[cause].failed()
      if (before.signer === loaded.signer) return
      // The failed signer may be bound to a version or a replica that is gone; this one has just been loaded.
      if (cause !== 'failure') {
        retire(loaded)
        return
      }
    } else {
      delays.failure.succeeded()
      delays.refusal.succeeded()
    }
    current = loaded
    taken.add(loaded.signer)
    if (before !== undefined) retire(before)
  }

  function retire(old: LoadedSigner): void {
    const retired = old.retire()
    retiring.add(retired)
    // Only a caller that waits in close() needs the outcome.
    const forget = () => void retiring.delete(retired)
    retired.then(forget, forget)
  }

  function requireOpen(): void {
    if (closing.signal.aborted) throw closed()
  }

  async function loaded(signal: Signal): Promise<void> {
    signal?.throwIfAborted()
    requireOpen()
    if (current !== undefined) return
    if (pending === undefined && delays.age.tooEarly()) throw failure
    await unlessAborted((pending ?? start('start')).outcome, signal)
  }

  /** The signer in use. Its use must start synchronously, since it may be replaced and closed later. */
  function inUse(): LoadedSigner {
    requireOpen()
    if (current === undefined) throw failure
    const age = now() - loadedAt
    // A clock that was set back must not make the key younger.
    const isOld = age < 0 || age >= maxAgeSeconds * 1000
    if (isOld && pending === undefined && !delays.age.tooEarly()) start('age')
    return current
  }

  async function replace(
    isOther: (signer: LoadedSigner) => boolean,
    cause: 'failure' | 'refusal',
    signal: Signal,
  ): Promise<boolean> {
    const isReplaced = () => current !== undefined && isOther(current)
    for (let isFresh = false; !isFresh && !isReplaced(); ) {
      if (closing.signal.aborted) return false
      if (pending === undefined && delays[cause].tooEarly()) return false
      // A load that started earlier for another reason may have read the key before it was replaced.
      isFresh = pending === undefined || pending.cause === cause
      const { outcome } = pending ?? start(cause)
      await unlessAborted(
        outcome.catch(() => {}),
        signal,
      )
    }
    return isReplaced()
  }

  async function close(): Promise<void> {
    closing.abort(closed())
    if (current !== undefined) retire(current)
    current = undefined
    await Promise.all(retiring)
  }

  const source: RotatingSigner = Object.freeze<RotatingSigner>({
    get current() {
      return current?.signer
    },
    async ready({ signal } = {}) {
      await loaded(signal)
      return source
    },
    async use(action, { signal } = {}) {
      await loaded(signal)
      const first = inUse()
      try {
        return await first.use(action)
      } catch (error) {
        if (signal?.aborted || !SignerError.is(error) || !anotherKey.has(error.code)) throw error
        if (!(await replace((other) => other !== first, 'failure', signal))) throw error
      }
      return inUse().use(action)
    },
    async replace(refused, { signal } = {}) {
      await loaded(signal)
      const identity = identityOf(refused)
      return replace((other) => other.identity !== identity, 'refusal', signal)
    },
    async reload({ signal } = {}) {
      signal?.throwIfAborted()
      requireOpen()
      // A load that is running may have read the key before the caller had a reason to ask.
      const early = pending?.outcome.catch(() => {}) ?? Promise.resolve()
      await unlessAborted(early, signal)
      requireOpen()
      await unlessAborted((pending ?? start('request')).outcome, signal)
    },
    close,
    [Symbol.asyncDispose]: close,
  })

  start('start')
  return source
}

function closed(): SignerError {
  return new SignerError('ERR_SIGNER_CONFIG', 'This rotating signer was closed; make a new one')
}

/** Refuses options that are not of their type, and adds the defaults. */
function readOptions(options: RotatingOptions): {
  readonly maxAgeSeconds: number
  readonly timeoutSeconds: number
  readonly now: () => number
} {
  const { maxAgeSeconds = 3600, timeoutSeconds = 30, now = Date.now } = ownOptions(options)
  if (typeof maxAgeSeconds !== 'number' || !(maxAgeSeconds > 0)) {
    throw new TypeError('"maxAgeSeconds" must be a number above 0')
  }
  requireTimeout(timeoutSeconds)
  if (typeof now !== 'function') throw new TypeError('"now" must be a function')
  return { maxAgeSeconds, timeoutSeconds, now }
}
