import { clientAssertion, signJws } from '@countersign/core'
import type { Examination } from './examination.ts'
import { nameOf } from './findings.ts'
import { settle } from './settle.ts'
import type { CheckName } from './violation.ts'

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
  exam.prove(check, Buffer.from(`${header}.${payload}`), Buffer.from(signature, 'base64url'))
}
