import { onAbort } from './abort.ts'
import { SignerError } from './error.ts'
import { closeSigner } from './held-signer.ts'
import type { Signer } from './signer.ts'

/**
 * What loads a key: a factory such as `awsKmsSigner`, asked for the key by a name that outlives its versions.
 *
 * The signal aborts when the load has taken too long, or is not wanted any more; it does not bind later signatures.
 */
export type LoadSigner = (options: { readonly signal: AbortSignal }) => Promise<Signer>

/** Loads a signer until the deadline passes or `end` aborts; one that comes later is closed, unless it is in use. */
export function loadInTime(
  load: LoadSigner,
  seconds: number,
  end: AbortSignal,
  inUse: { has(signer: Signer): boolean },
): Promise<Signer> {
  const controller = new AbortController()
  return new Promise((resolve, reject) => {
    const giveUp = (reason: unknown) => {
      settle()
      reject(reason)
      controller.abort(reason)
    }
    const timer = setTimeout(() => giveUp(tooLate(seconds)), seconds * 1000)
    timer.unref()
    const leave = onAbort(end, () => giveUp(end.reason))
    const settle = () => {
      clearTimeout(timer)
      leave()
    }
    const { signal } = controller
    const loading = (async () => load({ signal }))()
    loading.then(
      (signer) => {
        settle()
        if (!signal.aborted) resolve(signer)
        else if (!inUse.has(signer)) closeSigner(signer).catch(() => {})
      },
      (error) => {
        settle()
        reject(error)
      },
    )
  })
}

function tooLate(seconds: number): SignerError {
  return new SignerError(
    'ERR_SIGNER_TIMEOUT',
    `The key was not loaded within ${seconds} s; raise "timeoutSeconds" if its service needs longer`,
  )
}
