import type { KeyObject } from 'node:crypto'
import type { Signer } from '@countersign/core'
import type { Cell } from './cell.js'

/** A key of a stand-in, made for one test. */
export interface Staged<Scene> {
  readonly scene: Scene
  /** Of the version that has to sign, whatever happens. */
  readonly publicKey: KeyObject
  open(options: OpenOptions): Promise<Signer>
}

export interface OpenOptions {
  readonly timeoutSeconds: number
  /** Whether the SDK may do anything again; it may unless told otherwise. */
  readonly retries?: boolean
  readonly signal?: AbortSignal
}

/** A backend before its stand-in. */
export interface Stage<Scene> {
  readonly backend: string
  /** Whether the SDK is the one of this workspace, whose retries the matrix tells; others have others. */
  readonly isUsualSdk: boolean
  prepare(cell: Pick<Cell<Scene>, 'alg' | 'byAlias'>): Staged<Scene>
  /** What reached the service since the last {@link mend}. */
  calls(): readonly ('list' | 'key' | 'signature')[]
  /** Ends all faults, and forgets the calls. */
  mend(): void
  close(): Promise<void>
}
