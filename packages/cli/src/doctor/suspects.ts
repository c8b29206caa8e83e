import type { OAuthError } from '@countersign/oauth'
import { sanitizeValue } from '@countersign/oauth/provider'
import { askForToken, isAdmitted, type TokenScene } from './ask-for-token.ts'
import { faultOfDocument } from './client-document.ts'
import { type ClockReading, differs } from './clock.ts'
import { hintsIn } from './refusal.ts'
import type { Candidate } from './step.ts'

/** What may be behind an `invalid_client`. */
export interface Suspects {
  readonly candidates: readonly Candidate[]
  /** What was seen on the way to them. */
  readonly seen: readonly string[]
  /** What was accepted as the audience instead. */
  readonly audience?: string
}

/** An assertion is dated no further ahead than this, or back, to see whether that helps. */
const longestCorrectionSeconds = 3600

/**
 * Tells the causes of `invalid_client` apart: by what the server says, by the client's own document, and else by asking
 * again with the one thing changed that may be wrong. Whether a client is known, servers keep to themselves on purpose, and to guess at names
 * until one is refused in another way would be an attack on them.
 */
export async function suspectsOf(
  scene: TokenScene,
  { error_description }: OAuthError,
  clock: ClockReading | undefined,
): Promise<Suspects> {
  const said = hintsIn(error_description)
  const may = (candidate: Candidate) => said.length === 0 || said.includes(candidate)
  const seen: string[] = []
  const cleared = new Set<Candidate>()
  const candidates = (): Candidate[] => {
    const unsaid: readonly Candidate[] = ['client', 'key', 'algorithm']
    const all =
      said.length > 0 ? said : clock === undefined ? ['clock' as const, ...unsaid] : unsaid
    const left = all.filter((candidate) => !cleared.has(candidate))
    return left.length > 0 ? left : [...all]
  }

  const fault = await faultOfDocument(scene)
  if (fault !== undefined && may(fault.candidate)) {
    return { candidates: [fault.candidate], seen: [fault.seen] }
  }
  if (may('clock') && clock !== undefined) {
    cleared.add('clock')
    if (Math.abs(clock.aheadSeconds) > longestCorrectionSeconds) {
      const reason = 'nothing else can be told before that is set right'
      return { candidates: ['clock', ...candidates()], seen: [reason] }
    }
    if (differs(clock)) {
      const now = () => scene.context.now() + clock.aheadSeconds * 1000
      if (isAdmitted(await askForToken(scene, { now }))) {
        return { candidates: ['clock'], seen: ['with the time of the server it was accepted'] }
      }
      seen.push('with the time of the server it was refused, too')
    }
  }
  const { as, context } = scene
  const first = context.audience ?? as.issuer
  const audience = first === as.issuer ? as.token_endpoint : as.issuer
  if (may('audience') && audience !== undefined) {
    const withAudience = `with the audience ${sanitizeValue(audience)} it was`
    if (isAdmitted(await askForToken(scene, { audience }))) {
      return { candidates: ['audience'], seen: [`${withAudience} accepted`], audience }
    }
    cleared.add('audience')
    seen.push(`${withAudience} refused, too`)
  }
  return { candidates: candidates(), seen }
}
