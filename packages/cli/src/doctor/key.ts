import { createPublicKey, verify } from 'node:crypto'
import { algorithms, type Signer, SignerError, type SignerErrorCode } from '@countersign/core'
import { describeFailure, isUsage } from '../failure.ts'
import type { OpenKey } from '../open-key.ts'
import {
  type Examination,
  FailedStep,
  type Failure,
  isTimeout,
  passed,
  type StepResult,
} from './step.ts'

const keySteps = ['key store', 'key permission', 'key', 'key algorithm', 'signature'] as const
type KeyStep = (typeof keySteps)[number]

/** The step that fails with each code of a signer, and what to do. */
const refusals: { readonly [code in SignerErrorCode]: readonly [step: KeyStep, remedy: string] } = {
  ERR_SIGNER_CONFIG: [
    'key store',
    'follow the message: correct the key URI or the mode of the file, or install what is missing',
  ],
  ERR_SIGNER_UNAVAILABLE: [
    'key store',
    'check that the key service runs and that this machine reaches it: endpoint, region, network, proxy, token in its slot',
  ],
  ERR_SIGNER_TIMEOUT: [
    'key store',
    'check the network to the key service, or raise --timeout if it needs longer',
  ],
  ERR_SIGNER_THROTTLED: [
    'key store',
    'try again later, or raise the quota of the key service for this account',
  ],
  ERR_SIGNER_BACKEND: ['key store', 'look up the message in the documentation of the backend'],
  ERR_SIGNER_ACCESS_DENIED: [
    'key permission',
    'give this process what the message names: the right PIN or passphrase, read permission for the file, or a policy that allows reading the public key and signing',
  ],
  ERR_SIGNER_KEY_NOT_FOUND: [
    'key',
    'correct the name, version, region or account of the key in its URI',
  ],
  ERR_SIGNER_KEY_DISABLED: ['key', 'enable the key, or name one that is enabled'],
  ERR_SIGNER_KEY_UNSUPPORTED: [
    'key algorithm',
    'use a private key that makes JWS signatures: RSA of 2048 bits or more, EC, Ed25519 or ML-DSA',
  ],
  ERR_SIGNER_INTEGRITY: [
    'signature',
    'do not use this key until it is clear why: the service signs with another key than it publishes, or the key is damaged',
  ],
}

/** Opens the key and makes one signature with it. */
export async function* examineKey(context: Examination): AsyncGenerator<StepResult, OpenKey> {
  const { keyStore, within, openKey } = context
  let opened: OpenKey
  try {
    opened = await within(openKey)
  } catch (error) {
    const [step, failure] = describe(inTime(error, context))
    yield* stepsBefore(step, keyStore)
    throw new FailedStep(step, failure)
  }
  let isReturned = false
  try {
    const { signer } = opened
    const { alg, kid, publicJwk } = signer
    const { kty, crv } = publicJwk
    yield passed('key store', `${keyStore} answers`)
    yield passed('key permission', 'the key may be used')
    yield passed('key', `kid ${kid}`)
    yield passed(
      'key algorithm',
      `${alg} with a key of type ${[kty, crv].filter(Boolean).join(' ')}`,
    )
    yield await trySignature(signer, context)
    isReturned = true
    return opened
  } finally {
    if (!isReturned) await opened[Symbol.asyncDispose]()
  }
}

async function trySignature(signer: Signer, context: Examination): Promise<StepResult> {
  try {
    return passed('signature', await signOnce(signer, context))
  } catch (error) {
    const [, failure] = describe(inTime(error, context))
    throw new FailedStep('signature', failure)
  }
}

/** The steps before the one that failed, which must have passed. */
function* stepsBefore(step: KeyStep, keyStore: string): Generator<StepResult> {
  const found: { readonly [name in KeyStep]: string } = {
    'key store': `${keyStore} answers`,
    'key permission': 'access was not denied',
    key: 'the key exists',
    'key algorithm': 'the algorithm fits the key',
    signature: '',
  }
  for (const name of keySteps) {
    if (name === step) return
    yield passed(name, found[name])
  }
}

async function signOnce(signer: Signer, { within }: Examination): Promise<string> {
  const { alg, publicJwk } = signer
  const input = Buffer.from('countersign doctor')
  const start = performance.now()
  const signature = await within((signal) => signer.sign(input, { signal }))
  const milliseconds = (performance.now() - start).toFixed(1)
  const { hash, padding, saltLength } = algorithms[alg]
  const key = {
    key: createPublicKey({ key: { ...publicJwk }, format: 'jwk' }),
    dsaEncoding: 'ieee-p1363' as const,
    ...(padding === undefined ? {} : { padding }),
    ...(saltLength === undefined ? {} : { saltLength }),
  }
  if (verify(hash ?? null, input, key, signature)) {
    return `signed and verified in ${milliseconds} ms`
  }
  throw new SignerError(
    'ERR_SIGNER_INTEGRITY',
    'The signature does not verify with the public key of this signer',
  )
}

/** The step to which an error of a signer belongs, and its description; rethrows any other error. */
function describe(error: unknown): [step: KeyStep, failure: Failure] {
  if (!SignerError.is(error)) throw error
  const [step, remedy] = isOfAlgorithm(error) ? algorithmRefusal : refusals[error.code]
  const side = isUsage(error) ? 'usage' : 'key'
  return [step, { found: describeFailure(error).message, remedy, side, code: error.code }]
}

/** Describes why a key that is not the client's own cannot be opened; rethrows an error that is not a signer's. */
export function describeRefusedKey(error: unknown, context: Examination): Failure {
  const [, failure] = describe(inTime(error, context))
  return failure
}

/** Makes a `SignerError` of an error of the deadline. */
function inTime(error: unknown, { timeoutSeconds }: Examination): unknown {
  if (!isTimeout(error)) return error
  const late = `the key service did not answer within ${timeoutSeconds} s`
  return new SignerError('ERR_SIGNER_TIMEOUT', late)
}

const algorithmRefusal = [
  'key algorithm',
  'leave the algorithm out of the key URI, or name one that the message lists; or use another key',
] as const

/** Whether the algorithm was refused; core makes that error for all backends. */
function isOfAlgorithm({ code, message }: SignerError): boolean {
  return code === 'ERR_SIGNER_CONFIG' && /^The (?:key is for the )?algorithm /.test(message)
}
