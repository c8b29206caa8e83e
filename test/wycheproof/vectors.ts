import { createPublicKey, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { EcdsaAlgorithm } from '@countersign/core'

/** The folder of Wycheproof's `testvectors_v1`, which is not part of this repository. */
export const folder: string | undefined = process.env['COUNTERSIGN_WYCHEPROOF']

/** What stands behind the name of a suite that is not run. */
export const unlessRun: string = folder ? '' : ' (skipped: COUNTERSIGN_WYCHEPROOF names no folder)'

export interface Vector {
  readonly tcId: number
  readonly comment: string
  readonly flags: readonly string[]
  readonly msg: Buffer
  readonly sig: Buffer
  readonly result: 'valid' | 'invalid' | 'acceptable'
  readonly key: KeyObject
}

interface VectorFile {
  readonly numberOfTests: number
  readonly testGroups: readonly {
    readonly publicKeyPem: string
    readonly tests: readonly {
      readonly tcId: number
      readonly comment: string
      readonly flags: readonly string[]
      readonly msg: string
      readonly sig: string
      readonly result: Vector['result']
    }[]
  }[]
}

/** The vectors of one file, each with its key. */
export function vectors(file: string): Vector[] {
  const { testGroups, numberOfTests }: VectorFile = JSON.parse(
    readFileSync(join(folder ?? '', file), 'utf8'),
  )
  const all = testGroups.flatMap(({ publicKeyPem, tests }) => {
    const key = createPublicKey(publicKeyPem)
    return tests.map(({ msg, sig, ...rest }) => ({
      ...rest,
      msg: Buffer.from(msg, 'hex'),
      sig: Buffer.from(sig, 'hex'),
      key,
    }))
  })
  if (all.length !== numberOfTests) throw new Error(`${file} is not complete`)
  return all
}

/** A vector as a failed expectation shows it. */
export const label = ({ tcId, comment, flags }: Vector): string =>
  `${tcId}: ${comment} [${flags.join(', ')}]`

export const hashes: Readonly<Record<EcdsaAlgorithm, string>> = {
  ES256: 'sha256',
  ES384: 'sha384',
  ES512: 'sha512',
  ES256K: 'sha256',
}
