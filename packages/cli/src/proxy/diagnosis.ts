import type { RotatingSigner } from '@countersign/core'
import { rateLimit, unlessAborted } from '@countersign/core/backend'
import { OAuthError } from '@countersign/oauth'
import type { DiagnoseOptions } from '../doctor/step.ts'
import type { OpenDpop } from '../dpop-options.ts'

/**
 * Finds out why the authorization fails, as `countersign doctor` does.
 *
 * @returns what was found and what to do, in one line; `undefined` for an error of another kind, or if nothing was found.
 */
export type Explain = (error: unknown, signal: AbortSignal) => Promise<string | undefined>

/** What is to be explained, with the key that is open already: opening it again could try a PIN again. */
export type ExplainOptions = Omit<DiagnoseOptions, 'openKey' | 'openDpop' | 'signal'> & {
  readonly source: RotatingSigner
  readonly dpop: OpenDpop | undefined
}

const longestMs = 15_000

/** Makes the {@link Explain} of a proxy. It sends requests of its own at most once a minute. */
export function explainer({ source, dpop, ...options }: ExplainOptions): Explain {
  const mayRun = rateLimit(1, 60, Date.now)
  let last: { readonly code: string; readonly text: Promise<string | undefined> } | undefined

  // Without the signal of a caller, because the next ones get the same result.
  async function run(): Promise<string | undefined> {
    const { current } = source
    if (current === undefined) return undefined
    const { diagnose } = await import('../doctor/diagnose.ts')
    const steps = diagnose({
      ...options,
      openKey: async () => ({ signer: current, async [Symbol.asyncDispose]() {} }),
      openDpop: dpop && (async () => ({ session: dpop.session, async [Symbol.asyncDispose]() {} })),
      signal: AbortSignal.timeout(longestMs),
    })
    for await (const { state, name, found, remedy } of steps) {
      if (state === 'failed') return `${name}: ${found}; ${remedy}`
    }
    return undefined
  }

  return async (error, signal) => {
    if (!OAuthError.is(error) || isOfNetwork(error)) return undefined
    const code = `${error.code} ${error.error ?? ''}`
    if (mayRun()) last = { code, text: run().catch(() => undefined) }
    return last?.code === code ? unlessAborted(last.text, signal) : undefined
  }
}

/** The error of a server that cannot be reached says all that the doctor could find out. */
const isOfNetwork = ({ code }: OAuthError): boolean =>
  code === 'ERR_OAUTH_UNAVAILABLE' || code === 'ERR_OAUTH_TIMEOUT'
