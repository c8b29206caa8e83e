import { clientAssertion, type Signer, signJws, thumbprint } from '@countersign/core'
import { type Examination, settle, signingInput } from './examination.ts'
import { flipped, verifies } from './verifier.ts'
import { type CheckName, nameOf } from './violations.ts'

/** Checks one signature. Returns whether there was one: without it, no other check can run. */
export async function checkSignature(exam: Examination): Promise<boolean> {
  const input = signingInput('one')
  const signature = await exam.signature('signs', input)
  if (signature === undefined) return false
  if (exam.verify('signature-verifies', input, signature)) {
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
    'the signature also verifies over another input; anyone can forge signatures for this publicJwk',
  )
}

/** How many signatures the width check makes at least; EdDSA and ML-DSA need no more, since no number is ever short. */
const fewestForWidth = 128

/**
 * Checks the width of many signatures, and that each of them verifies.
 *
 * Padding bugs show only in a number that starts with a zero octet: r or s in one of 128 ECDSA signatures, the whole
 * signature in about one of 200 RSA signatures. The check ends when it has seen each such number and found it right, or
 * after `most` signatures.
 */
export async function checkWidth(exam: Examination, most: number): Promise<void> {
  const parts = exam.key.key.asymmetricKeyType === 'ec' ? 2 : 1
  const hasShortForms = ['ec', 'rsa'].includes(exam.key.key.asymmetricKeyType ?? '')
  const unseen = new Set(hasShortForms ? Array.from({ length: parts }, (_, part) => part) : [])
  for (let made = 0; made < most && (made < fewestForWidth || unseen.size > 0); made++) {
    const input = signingInput(`number ${made}`)
    const signature = await exam.signature('signature-width', input)
    if (signature === undefined || !exam.verify('signature-width', input, signature)) return
    for (const part of unseen) {
      if (signature[(part * signature.byteLength) / parts] === 0) unseen.delete(part)
    }
  }
}

/** Checks that a second signer of the factory has the same algorithm, key ID and key. */
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
  if (signature !== undefined) exam.verify('stable-identity', input, signature)
}

function thumbprintOf({ publicJwk }: Signer): string {
  return thumbprint({ ...publicJwk })
}

/** Checks that a JWS and a client assertion made with the signer verify. */
export async function checkTokens(exam: Examination): Promise<void> {
  const { signer } = exam
  await checkToken(exam, 'jws-verifies', () => signJws(signer, 'payload'))
  await checkToken(exam, 'client-assertion-verifies', () =>
    clientAssertion(signer, { clientId: 'testkit', audience: 'https://as.example.com' }),
  )
}

async function checkToken(
  exam: Examination,
  check: CheckName,
  make: () => Promise<string>,
): Promise<void> {
  const outcome = await settle(make, exam.seconds)
  if (outcome.state !== 'fulfilled') {
    const why =
      outcome.state === 'pending'
        ? `was not made within ${exam.seconds} s`
        : `could not be made: ${nameOf(outcome.reason)}`
    const cause = outcome.state === 'rejected' ? outcome.reason : undefined
    exam.findings.report(check, `a token ${why}`, cause)
    return
  }
  const [header = '', payload = '', signature = ''] = String(outcome.value).split('.')
  const { alg, kid } = JSON.parse(Buffer.from(header, 'base64url').toString())
  if (alg !== exam.signer.alg || kid !== exam.signer.kid) {
    exam.findings.report(check, 'the header of a token does not have the alg and kid of the signer')
    return
  }
  exam.verify(check, Buffer.from(`${header}.${payload}`), Buffer.from(signature, 'base64url'))
}

const calls = 32

/** Checks that concurrent signatures do not affect each other. */
export async function checkConcurrency(exam: Examination): Promise<void> {
  const inputs = Array.from({ length: calls }, (_, call) => signingInput(`call ${call}`))
  const signatures = await Promise.all(
    inputs.map((input) => exam.signature('concurrent-signatures', input)),
  )
  // Signatures that were overwritten before they could be verified tell nothing; checkUnshared reports them.
  if (exam.sharesMemory) return
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
    exam.verify('concurrent-signatures', input, signature)
    return
  }
}

/** Checks that no signature of the whole run was changed, and that each has its own memory. */
export function checkUnshared(exam: Examination): void {
  if (!exam.hasChanged && !exam.sharesMemory) return
  exam.findings.report(
    'signature-unshared',
    'a signature changed after it was returned, or shares its memory with another one; return octets that are not written to later',
  )
}
