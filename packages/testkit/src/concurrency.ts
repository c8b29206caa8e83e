import type { Examination } from './examination.ts'
import { signingInput } from './signing-input.ts'
import { verifies } from './verifier.ts'

const calls = 32

/** Checks that concurrent signatures do not affect each other. */
export async function checkConcurrency(exam: Examination): Promise<void> {
  const inputs = Array.from({ length: calls }, (_, call) => signingInput(`call ${call}`))
  const signatures = await Promise.all(
    inputs.map((input) => exam.signature('concurrent-signatures', input)),
  )
  // Octets that were overwritten before they could be looked at say nothing about the signing itself.
  if (exam.handedOutTwice) return
  for (const [call, input] of inputs.entries()) {
    const signature = signatures[call]
    if (signature === undefined || verifies(exam.key, input, signature)) continue
    const other = inputs.findIndex((another) => verifies(exam.key, another, signature))
    if (other >= 0) {
      exam.findings.report(
        'concurrent-signatures',
        `of ${calls} concurrent calls, number ${call} got the signature over the input of number ${other}`,
      )
      return
    }
    exam.prove('concurrent-signatures', input, signature)
    return
  }
}

/** Checks that the signatures of the whole examination are still what they were, each in memory of its own. */
export function checkUnshared(exam: Examination): void {
  if (!exam.handedOutChanged && !exam.handedOutTwice) return
  exam.findings.report(
    'signature-unshared',
    'a signature changed after it was returned, or shares its memory with another one; return octets that are not written to again',
  )
}
