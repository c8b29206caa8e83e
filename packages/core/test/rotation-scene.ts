import { generateKeyPairSync } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import {
  createSigner,
  type JwsAlgorithm,
  type RotatingOptions,
  type RotatingSigner,
  type RotationMessage,
  rotating,
  type Signer,
  SignerError,
} from '@countersign/core'
import { onTestFinished } from 'vitest'
import { signRequest } from './backend.ts'
import type { Pair } from './keys.ts'

/** One version of a key in a vault, with real cryptography. */
export interface Version {
  readonly signer: Signer & { close(): Promise<void> }
  /** Has it refuse signatures with an error of this code. */
  fail(code: SignerError['code'] | undefined): void
  /** Has signatures wait until they are let through. */
  hold(): void
  release(): void
  readonly signatures: number
  /** What it was asked to sign. */
  readonly inputs: readonly string[]
  readonly closed: number
}

export function version(alg: JwsAlgorithm = 'ES256', kid?: string): Version {
  const pair: Pair = alg.startsWith('ES')
    ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
    : generateKeyPairSync('ed25519')
  return versionOf(pair, alg, kid)
}

/** Another signer over a key, as a second load of it makes one. */
export function versionOf(pair: Pair, alg: JwsAlgorithm = 'ES256', kid?: string): Version {
  let code: SignerError['code'] | undefined
  let closed = 0
  const inputs: string[] = []
  let gate = Promise.resolve()
  let release = () => {}
  const signer = createSigner(
    {
      name: 'test-vault',
      alg,
      publicKey: pair.publicKey,
      async sign(request) {
        inputs.push(Buffer.from(request.message).toString())
        await gate
        if (closed > 0) throw new SignerError('ERR_SIGNER_CONFIG', 'This signer was closed')
        if (code !== undefined) throw new SignerError(code, 'the vault refuses')
        return signRequest(alg, pair, request)
      },
    },
    { kid },
  )
  const close = async () => {
    closed++
  }
  return {
    signer: { ...signer, close },
    fail(as) {
      code = as
    },
    hold() {
      gate = new Promise((resolve) => {
        release = resolve
      })
    },
    release: () => release(),
    inputs,
    get signatures() {
      return inputs.length
    },
    get closed() {
      return closed
    },
  }
}

/** A vault that answers a load with whatever version stands under the name. */
export interface Scene {
  readonly source: RotatingSigner
  /** What the next loads come to; a function may take its time or throw. */
  name(answer: Version | Signer | (() => Signer | Promise<Signer>)): void
  readonly loads: number
  readonly messages: RotationMessage[]
  advance(seconds: number): void
}

export function scene(
  first: Version | Signer | (() => Signer | Promise<Signer>),
  options: RotatingOptions = {},
): Scene {
  let answer = first
  let loads = 0
  let time = 1_700_000_000_000
  const messages: RotationMessage[] = []
  const listener = (message: unknown) => void messages.push(message as RotationMessage)
  subscribe('countersign:rotation', listener)
  const source = rotating(
    async () => {
      loads++
      if (typeof answer === 'function') return answer()
      return 'signer' in answer ? answer.signer : answer
    },
    { now: () => time, ...options },
  )
  onTestFinished(async () => {
    unsubscribe('countersign:rotation', listener)
    await source.close()
  })
  return {
    source,
    name(next) {
      answer = next
    },
    get loads() {
      return loads
    },
    messages,
    advance(seconds) {
      time += seconds * 1000
    },
  }
}

/** Waits until whatever was started in the background has come to its end. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
}
