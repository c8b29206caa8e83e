import type { Examination } from './examination.ts'
import { flipped, signingInput } from './signing-input.ts'
import { verifies } from './verifier.ts'

/** Checks one signature. Tells whether there was any, without which nothing else can be examined. */
export async function checkSignature(exam: Examination): Promise<boolean> {
  const input = signingInput('one')
  const signature = await exam.signature('signs', input)
  if (signature === undefined) return false
  if (exam.prove('signature-verifies', input, signature)) {
    checkBinding(exam, input, signature)
  }
  return true
}

function checkBinding(exam: Examination, input: Uint8Array, signature: Uint8Array): void {
  const another = [flipped(input), input.subarray(0, -1), new Uint8Array()].some((changed) =>
    verifies(exam.key, changed, signature),
  )
  if (!another) return
  exam.findings.report(
    'signature-binds-input',
    'the signature verifies over another input too; publicJwk is a key under which anyone can forge',
  )
}

/** The fewest signatures a run makes, and all it makes where no number is ever short: EdDSA, ML-DSA. */
const enough = 128

/**
 * Checks the width of many signatures, and that each of them verifies.
 *
 * A number that starts with a zero octet is what padding bugs trip over: r or s in one of 128 ECDSA
 * signatures, the whole of about one of 200 RSA signatures. The run ends when each such number was seen
 * and was right, which is proof, or after `most` signatures, which is statistics.
 */
export async function checkWidth(exam: Examination, most: number): Promise<void> {
  const parts = exam.key.key.asymmetricKeyType === 'ec' ? 2 : 1
  const hasShortForms = ['ec', 'rsa'].includes(exam.key.key.asymmetricKeyType ?? '')
  const unseen = new Set(hasShortForms ? Array.from({ length: parts }, (_, part) => part) : [])
  for (let made = 0; made < most && (made < enough || unseen.size > 0); made++) {
    const input = signingInput(`number ${made}`)
    const signature = await exam.signature('signature-width', input)
    if (signature === undefined || !exam.prove('signature-width', input, signature)) return
    for (const part of unseen) {
      if (signature[(part * signature.byteLength) / parts] === 0) unseen.delete(part)
    }
  }
}
