import { type Signer, thumbprint } from '@countersign/core'
import type { Examination } from './examination.ts'
import { settle } from './settle.ts'
import { signingInput } from './signing-input.ts'

/** Checks that a second signer of the same factory is the same key, by name, by JWK and by signature. */
export async function checkIdentity(exam: Examination, second: Signer): Promise<void> {
  const { signer, findings } = exam
  const differing = (
    [
      ['alg', signer.alg, second.alg],
      ['kid', signer.kid, second.kid],
      ['the thumbprint of publicJwk', ...[signer, second].map(thumbprintOf)],
    ] as const
  ).filter(([, one, other]) => one !== other)
  if (differing.length > 0) {
    findings.report(
      'stable-identity',
      `two signers of the factory differ in ${differing.map(([name]) => name).join(', ')}; open the same key each time`,
    )
    return
  }
  const input = signingInput('second')
  const outcome = await settle(() => second.sign(new Uint8Array(input)), exam.seconds)
  const signature = exam.octets('stable-identity', outcome)
  if (signature !== undefined) exam.prove('stable-identity', input, signature)
}

function thumbprintOf({ publicJwk }: Signer): string {
  return thumbprint({ ...publicJwk })
}
