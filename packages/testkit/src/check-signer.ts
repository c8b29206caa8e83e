import type { Signer } from '@countersign/core'
import { checkAbort } from './abort.ts'
import { Examination, settle } from './examination.ts'
import { checkInputs } from './input.ts'
import { checkPublicJwk } from './public-jwk.ts'
import { checkMembers, checkPrivateMembers, hasSignerShape } from './shape.ts'
import {
  checkConcurrency,
  checkIdentity,
  checkSignature,
  checkTokens,
  checkUnshared,
  checkWidth,
} from './signature.ts'
import { verifierFault } from './vectors.ts'
import { Findings, nameOf, type Violation } from './violations.ts'

/** Options of {@link checkSigner}. */
export interface CheckSignerOptions {
  /**
   * Most signatures that the width check makes, 2048 by default; the other checks together make about 50. Give
   * fewer where a signature is slow or costs money: the README has the odds of missing a padding bug.
   */
  readonly signatures?: number | undefined
  /** Timeout of each call, 10 by default; a signer's own deadline should be shorter. */
  readonly timeoutSeconds?: number | undefined
}

/**
 * Checks that a signer does what the `Signer` interface promises, and returns the violations.
 *
 * The factory is called twice, and both signers are disposed of at the end if they have `Symbol.asyncDispose`,
 * so it must open the same key each time. A check that depends on the result of a failed check
 * is omitted; fix that violation and run again.
 *
 * @param factory - opens the signer.
 * @param options - how many signatures to make, and how long to wait for each.
 * @returns the violations, at most one for each check. The promise is fulfilled in bounded time, unless the signer
 *   blocks the thread.
 * @throws `TypeError` when an argument is not of its type.
 *
 * @example
 * ```ts
 * import { generateKeyPairSync, sign } from 'node:crypto'
 * import { createSigner } from '@countersign/core'
 * import { checkSigner } from '@countersign/testkit'
 *
 * const { publicKey, privateKey } = generateKeyPairSync('ed25519')
 *
 * const violations = await checkSigner(() =>
 *   createSigner({
 *     name: 'my-vault',
 *     alg: 'EdDSA',
 *     publicKey,
 *     sign: ({ message }) => sign(null, message, privateKey),
 *   }),
 * )
 * for (const { check, message } of violations) console.error(`${check}: ${message}`)
 * ```
 *
 * @see [RFC 7515 §5.2](https://www.rfc-editor.org/rfc/rfc7515#section-5.2)
 */
export async function checkSigner(
  factory: () => Signer | Promise<Signer>,
  options: CheckSignerOptions = {},
): Promise<Violation[]> {
  const { signatures = 2048, timeoutSeconds = 10 } = options
  if (typeof factory !== 'function') throw new TypeError('"factory" must be a function')
  if (!Number.isSafeInteger(signatures) || signatures < 1) {
    throw new TypeError('"signatures" must be a whole number above 0')
  }
  if (!(timeoutSeconds > 0 && timeoutSeconds <= 600)) {
    throw new TypeError('"timeoutSeconds" must be a number above 0 and up to 600')
  }
  const findings = new Findings()
  const opened = new Set<unknown>()
  const open = () => openSigner(factory, findings, timeoutSeconds, opened)
  const exam = await prepare(open, findings, timeoutSeconds)
  if (exam !== undefined) await runChecks(exam, open, signatures)
  for (const signer of opened) await dispose(signer, findings, timeoutSeconds)
  return findings.list
}

/** Runs the checks that need no signature. */
async function prepare(
  open: () => Promise<Signer | undefined>,
  findings: Findings,
  seconds: number,
): Promise<Examination | undefined> {
  const signer = await open()
  if (signer === undefined) return undefined
  await findings.guard('signer-shape', () => checkMembers(signer, findings))
  await findings.guard('no-private-members', () => checkPrivateMembers(signer, findings))
  if (findings.has('alg-known')) return undefined
  const fault = verifierFault(signer.alg)
  if (fault !== undefined) {
    findings.report('verifier', `the testkit cannot verify signatures on this runtime: ${fault}`)
    return undefined
  }
  const key = await findings.guard('public-key-usable', () => checkPublicJwk(signer, findings))
  return key && new Examination(signer, key, findings, seconds)
}

/** Runs the checks that need signatures. Those that may leave a signer unusable are last. */
async function runChecks(
  exam: Examination,
  open: () => Promise<Signer | undefined>,
  signatures: number,
): Promise<void> {
  const { findings } = exam
  if (!(await checkSignature(exam))) return
  await checkWidth(exam, signatures)
  const second = await open()
  if (second !== undefined) {
    await findings.guard('stable-identity', () => checkIdentity(exam, second))
  }
  await checkInputs(exam)
  await checkTokens(exam)
  await checkConcurrency(exam)
  await checkAbort(exam)
  checkUnshared(exam)
}

async function openSigner(
  factory: () => unknown,
  findings: Findings,
  seconds: number,
  opened: Set<unknown>,
): Promise<Signer | undefined> {
  const outcome = await settle(factory, seconds)
  if (outcome.state === 'pending') {
    findings.report('factory', `the factory returned no signer within ${seconds} s`)
  } else if (outcome.state === 'rejected') {
    const { reason } = outcome
    findings.report('factory', `the factory failed with ${nameOf(reason)}`, reason)
  } else {
    const { value } = outcome
    opened.add(value)
    if (await findings.guard('signer-shape', () => hasSignerShape(value, findings))) {
      return value as Signer
    }
  }
  return undefined
}

async function dispose(signer: unknown, findings: Findings, seconds: number): Promise<void> {
  if (typeof signer !== 'object' || signer === null || !(Symbol.asyncDispose in signer)) return
  const { [Symbol.asyncDispose]: end } = signer
  const outcome = await settle(() => Reflect.apply(end as () => unknown, signer, []), seconds)
  if (outcome.state === 'fulfilled') return
  findings.report(
    'disposal',
    outcome.state === 'pending'
      ? `Symbol.asyncDispose did not settle within ${seconds} s`
      : `Symbol.asyncDispose failed with ${nameOf(outcome.reason)}`,
    outcome.state === 'rejected' ? outcome.reason : undefined,
  )
}
