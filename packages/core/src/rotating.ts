import { unlessAborted } from './abort.ts'
import { backoff } from './backoff.ts'
import { SignerError, type SignerErrorCode } from './error.ts'
import { type HeldSigner, holdLoaded, identityOf } from './held-signer.ts'
import { type LoadSigner, loadInTime } from './load-in-time.ts'
import { type RotatingOptions, readOptions } from './rotating-options.ts'
import type { RotatingSigner } from './rotating-signer.ts'
import type { Signer } from './signer.ts'
import { type RotationMessage, rotationReport } from './tracing.ts'

type Cause = RotationMessage['cause']
type Signal = AbortSignal | undefined

// Not those of a service that is busy or down, which say nothing of the key, and not those that another try may make
// worse, such as that of a PIN.
const anotherKey: ReadonlySet<SignerErrorCode> = new Set([
  'ERR_SIGNER_KEY_DISABLED',
  'ERR_SIGNER_KEY_NOT_FOUND',
  'ERR_SIGNER_INTEGRITY',
])

/**
 * Makes a source of signatures that follows its key from one version to the next.
 *
 * The key is loaded at once. It is loaded anew in the background when it is used at the age of `maxAgeSeconds` or
 * later; and at once, for all callers together, when a signature fails because the key is disabled, gone or replaced,
 * which is then made once more. A load that fails leaves the signer in use as it is, and is tried again after a pause
 * of up to a second, then two, four, up to a minute. A signer that was replaced is closed, if it has a `close()`,
 * after what is under way with it. No timer keeps the process alive. Each load is reported on the diagnostics channel
 * `countersign:rotation`.
 *
 * @param load - makes a signer; called anew for each load, and never twice at once.
 * @param options - age, and a bound on one load, in seconds.
 * @returns the source, at once. It throws what `load` throws, {@link SignerError} `ERR_SIGNER_TIMEOUT` when a load takes
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
  let held: HeldSigner | undefined
  let loadedAt = 0
  let pending: { readonly cause: Cause; readonly outcome: Promise<void> } | undefined
  let failure: unknown
  // Each for itself, so that a server that refuses everything does not keep a key that is gone from being replaced.
  const pauses = { age: backoff(now), failure: backoff(now), refusal: backoff(now) }
  const closing = new AbortController()
  const retiring = new Set<Promise<void>>()
  // Those are closed after what is under way with them, and not when a load that has them again is given up.
  const taken = new WeakSet<Signer>()

  function start(cause: Cause): { readonly outcome: Promise<void> } {
    const outcome = loadAnew(cause).finally(() => {
      pending = undefined
    })
    // Perhaps nobody waits.
    outcome.catch(() => {})
    pending = { cause, outcome }
    return pending
  }

  async function loadAnew(cause: Cause): Promise<void> {
    const report = rotationReport(cause, held?.signer)
    try {
      const loaded = holdLoaded(await loadInTime(load, timeoutSeconds, closing.signal, taken))
      if (closing.signal.aborted) retire(loaded)
      requireOpen()
      loadedAt = now()
      pauses.age.succeeded()
      take(loaded, cause)
      report(held?.signer)
    } catch (reason) {
      if (closing.signal.aborted) throw closed()
      failure = reason
      pauses.age.failed()
      if (cause === 'failure' || cause === 'refusal') pauses[cause].failed()
      report(held?.signer, { reason })
      throw reason
    }
  }

  function take(loaded: HeldSigner, cause: Cause): void {
    const before = held
    if (before?.identity === loaded.identity) {
      if (cause === 'failure' || cause === 'refusal') pauses[cause].failed()
      if (before.signer === loaded.signer) return
      // What failed may be bound to a version or a replica of the key that is gone; this one has just been loaded.
      if (cause !== 'failure') {
        retire(loaded)
        return
      }
    } else {
      pauses.failure.succeeded()
      pauses.refusal.succeeded()
    }
    held = loaded
    taken.add(loaded.signer)
    if (before !== undefined) retire(before)
  }

  function retire(old: HeldSigner): void {
    const retired = old.retire()
    retiring.add(retired)
    // What closing it comes to concerns nobody but whoever waits in close().
    const forget = () => void retiring.delete(retired)
    retired.then(forget, forget)
  }

  function requireOpen(): void {
    if (closing.signal.aborted) throw closed()
  }

  async function loaded(signal: Signal): Promise<void> {
    signal?.throwIfAborted()
    requireOpen()
    if (held !== undefined) return
    if (pending === undefined && pauses.age.tooEarly()) throw failure
    await unlessAborted((pending ?? start('start')).outcome, signal)
  }

  /** The signer in use, to be entered before anything else happens, since it may then be replaced and closed. */
  function inUse(): HeldSigner {
    requireOpen()
    if (held === undefined) throw failure
    const age = now() - loadedAt
    // A clock that was set back must not make it younger.
    const isOld = age < 0 || age >= maxAgeSeconds * 1000
    if (isOld && pending === undefined && !pauses.age.tooEarly()) start('age')
    return held
  }

  async function replace(
    isOther: (signer: HeldSigner) => boolean,
    cause: 'failure' | 'refusal',
    signal: Signal,
  ): Promise<boolean> {
    const isReplaced = () => held !== undefined && isOther(held)
    for (let isFresh = false; !isFresh && !isReplaced(); ) {
      if (closing.signal.aborted) return false
      if (pending === undefined && pauses[cause].tooEarly()) return false
      // What began earlier, for another reason, may have found the key as it was before it was replaced.
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
    if (held !== undefined) retire(held)
    held = undefined
    await Promise.all(retiring)
  }

  const source: RotatingSigner = Object.freeze<RotatingSigner>({
    get current() {
      return held?.signer
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
      // One that is under way may have found the key as it was before the caller had a reason.
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
