import type { ReplaceKey } from '@countersign/oauth'

/** What an SDK can have its provider forget. */
export type CredentialScope = 'all' | 'client' | 'tokens' | 'verifier' | 'discovery'

/** Replaces the key of a proof that was refused, of which the SDKs say no more than that the client is to be forgotten. */
export interface KeyReplacement {
  /** For the options of a client authentication. */
  readonly onReplaceable: (replace: ReplaceKey) => void
  /** To be awaited before the SDK tries again. */
  afterInvalidation(scope: CredentialScope): Promise<void>
}

export function keyReplacement(): KeyReplacement {
  let replace: ReplaceKey | undefined
  return {
    onReplaceable(offered) {
      replace = offered
    },
    async afterInvalidation(scope) {
      if (scope !== 'all' && scope !== 'client') return
      const last = replace
      replace = undefined
      // If there is no other key, the second refusal will say all there is to say.
      await last?.().catch(() => {})
    },
  }
}
