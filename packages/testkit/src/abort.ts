import { type Examination, type Outcome, signingInput } from './examination.ts'
import { nameOf } from './violations.ts'

const moments: readonly (readonly [when: string, wait?: () => Promise<unknown>])[] = [
  ['in the turn of the call'],
  ['a microtask after the call', () => Promise.resolve()],
  ['a turn after the call', () => new Promise((resolve) => setImmediate(resolve))],
]

/** Checks that a signer obeys an `AbortSignal`, and still signs afterwards. */
export async function checkAbort(exam: Examination): Promise<void> {
  await checkAbortedBefore(exam)
  for (const [when, wait] of moments) {
    // Without a signature, aborting at another moment tests nothing.
    if (!(await stillSigns(exam))) return
    await checkAbortedInFlight(exam, when, wait)
    if (exam.findings.has('aborted-in-flight')) break
  }
  await stillSigns(exam)
}

async function checkAbortedBefore(exam: Examination): Promise<void> {
  const reason = { aborted: 'before the call' }
  const outcome = await exam.call(signingInput('aborted'), { signal: AbortSignal.abort(reason) })
  if (rejectedWith(outcome, reason)) return
  exam.findings.report(
    'aborted-before-call',
    `with a signal that is already aborted, sign() ${describe(outcome, reason, exam)}; it must not sign, and must reject with exactly signal.reason`,
    outcome.state === 'rejected' ? outcome.reason : undefined,
  )
}

async function checkAbortedInFlight(
  exam: Examination,
  when: string,
  wait?: () => Promise<unknown>,
): Promise<void> {
  const reason = { aborted: when }
  const input = signingInput('aborted')
  const controller = new AbortController()
  const settling = exam.call(new Uint8Array(input), { signal: controller.signal })
  await wait?.()
  controller.abort(reason)
  const outcome = await settling
  if (rejectedWith(outcome, reason)) return
  if (outcome.state === 'fulfilled') {
    const signature = exam.octets('aborted-in-flight', outcome)
    if (signature !== undefined) exam.verify('aborted-in-flight', input, signature)
    return
  }
  exam.findings.report(
    'aborted-in-flight',
    `aborted ${when}, sign() ${describe(outcome, reason, exam)}; it must reject with exactly signal.reason, or return the signature`,
    outcome.state === 'rejected' ? outcome.reason : undefined,
  )
}

async function stillSigns(exam: Examination): Promise<boolean> {
  const input = signingInput('after abort')
  const signature = await exam.signature('signs-after-abort', input)
  if (signature !== undefined) exam.verify('signs-after-abort', input, signature)
  return !exam.findings.has('signs-after-abort')
}

function rejectedWith(outcome: Outcome, reason: unknown): boolean {
  return outcome.state === 'rejected' && outcome.promised && outcome.reason === reason
}

function describe(outcome: Outcome, reason: unknown, exam: Examination): string {
  if (outcome.state === 'pending') return `did not settle within ${exam.seconds} s`
  if (outcome.state === 'fulfilled') return 'returned a signature'
  if (outcome.reason === reason) return 'threw signal.reason instead of rejecting with it'
  const wrapped = outcome.reason instanceof Error && outcome.reason.cause === reason
  return `rejected with ${nameOf(outcome.reason)}${wrapped ? ', which wraps signal.reason' : ''}`
}
