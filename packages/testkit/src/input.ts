import { algorithms, SignerError } from '@countersign/core'
import { type Examination, signingInput } from './examination.ts'
import type { CheckName } from './violations.ts'

const large = 65_536

/** Checks that a signer signs exactly the octets that it is given, and does not change them. */
export async function checkInputs(exam: Examination): Promise<void> {
  await checkView(exam)
  await checkUnchanged(exam)
  await checkSize(exam, 'empty-input', new Uint8Array())
  await checkSize(exam, 'large-input', new Uint8Array(large).fill(0x61))
  await checkMisuse(exam)
}

/** Checks that only the octets of a view are signed, not the memory around them, as in Node.js's pool of buffers. */
async function checkView(exam: Examination): Promise<void> {
  const input = signingInput('view')
  for (const kind of [Uint8Array, Buffer]) {
    const memory = new Uint8Array(input.byteLength + 64).fill(0x2a)
    memory.set(input, 32)
    const view =
      kind === Buffer
        ? Buffer.from(memory.buffer, 32, input.byteLength)
        : memory.subarray(32, 32 + input.byteLength)
    const signature = exam.octets('input-view', await exam.call(view))
    if (signature === undefined || !exam.verify('input-view', input, signature)) return
  }
}

async function checkUnchanged(exam: Examination): Promise<void> {
  const input = signingInput('unchanged')
  const given = new Uint8Array(input)
  exam.octets('input-unchanged', await exam.call(given))
  if (Buffer.compare(given, input) === 0) return
  exam.findings.report(
    'input-unchanged',
    'sign() changed its input, which belongs to the caller; copy it before you write to it',
  )
}

/** Checks an input of a size that a key service may refuse if it gets the message and not a digest. */
async function checkSize(exam: Examination, check: CheckName, input: Uint8Array): Promise<void> {
  const { alg } = exam.key
  const outcome = await exam.call(new Uint8Array(input))
  const mayRefuse = algorithms[alg].hash === undefined
  if (mayRefuse && outcome.state === 'rejected' && outcome.promised) {
    const { reason } = outcome
    exam.requireSignerError(reason)
    if (SignerError.is(reason) && reason.code !== 'ERR_SIGNER_KEY_UNSUPPORTED') {
      exam.findings.report(
        check,
        `an input of ${input.byteLength} octets was refused with ${reason.code}; sign it, or refuse it with ERR_SIGNER_KEY_UNSUPPORTED`,
        reason,
      )
    }
    return
  }
  const signature = exam.octets(check, outcome)
  if (signature !== undefined) exam.verify(check, input, signature)
}

const misuses: readonly (readonly [description: string, value: unknown])[] = [
  ['undefined', undefined],
  ['a string', 'header.payload'],
  ['an array of numbers', [1, 2, 3]],
  ['an ArrayBuffer', new ArrayBuffer(8)],
]

async function checkMisuse(exam: Examination): Promise<void> {
  for (const [description, value] of misuses) {
    const outcome = await exam.call(value)
    if (outcome.state === 'rejected' && outcome.promised && outcome.reason instanceof TypeError)
      continue
    const found = {
      pending: `did not settle within ${exam.seconds} s`,
      fulfilled: 'was accepted',
      rejected: 'was refused with another error',
    }[outcome.state]
    exam.findings.report(
      'misuse-is-type-error',
      `sign() given ${description} ${found}; it must reject with a TypeError`,
      outcome.state === 'rejected' ? outcome.reason : undefined,
    )
    return
  }
}
