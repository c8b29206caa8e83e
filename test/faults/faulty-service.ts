import type { KeyObject } from 'node:crypto'
import type { Signer } from '@countersign/core'
import type { Expectation } from './expectation.ts'

/** A key service on loopback in which faults can be injected. */
export interface FaultyService<Target> {
  readonly backend: string
  /** Credentials that must not be in any error. */
  readonly secrets: readonly string[]
  /** Whether the SDK is that of this workspace. The retries in the matrix are those of that release. */
  readonly isWorkspaceSdk: boolean
  createKey(expected: Pick<Expectation<Target>, 'alg' | 'byAlias'>): FaultyKey<Target>
  /** The calls that reached the service since the last {@link reset}. */
  calls(): readonly ('list' | 'key' | 'signature')[]
  /** Removes all faults and recorded calls. */
  reset(): void
  close(): Promise<void>
}

/** A key for one test. */
export interface FaultyKey<Target> {
  readonly target: Target
  /** The public key of the version that must sign. */
  readonly publicKey: KeyObject
  open(options: OpenOptions): Promise<Signer>
}

export interface OpenOptions {
  readonly timeoutSeconds: number
  /** Whether the SDK may retry; true by default. */
  readonly retries?: boolean
  readonly signal?: AbortSignal
}
