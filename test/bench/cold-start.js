// @ts-check
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { newKey } from './keys.js'
import { valueRow } from './measure.js'
import { millisecondsOf } from './process-time.js'

const rounds = 21
const nothing = fileURLToPath(new URL('./cold-start/nothing.cjs', import.meta.url))
const firstAssertion = fileURLToPath(new URL('./cold-start/first-assertion.js', import.meta.url))

/**
 * A process that imports both packages, reads a PEM file and makes one assertion, minus a process that runs an empty
 * script.
 *
 * @returns {AsyncGenerator<import('./measure.js').Row>}
 */
export async function* run() {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-bench-'))
  try {
    const keyFile = join(folder, 'key.pem')
    writeFileSync(keyFile, newKey('ES256').pem, { mode: 0o600 })
    /** @type {number[]} */
    const bare = []
    /** @type {number[]} */
    const extra = []
    // The first of each only fills the file cache.
    for (let round = 0; round <= rounds; round++) {
      const empty = millisecondsOf([nothing])
      const full = millisecondsOf([firstAssertion, keyFile])
      if (round === 0) continue
      bare.push(empty)
      extra.push(full - empty)
    }
    yield valueRow(extra, {
      name: 'core + local to the first assertion, above bare node',
      unit: 'ms',
      target: { atMost: 60 },
    })
    yield valueRow(bare, { name: 'bare node', unit: 'ms' })
  } finally {
    rmSync(folder, { recursive: true })
  }
}
