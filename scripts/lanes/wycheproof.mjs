import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { missing, nothing, withFailure } from '../lib/counts.mjs'
import { vitest } from '../lib/vitest.mjs'

/** Reads Wycheproof's ECDSA files, when `COUNTERSIGN_WYCHEPROOF` names their folder. */
export async function wycheproofLane() {
  const named = process.env['COUNTERSIGN_WYCHEPROOF']
  if (!named) return missing('COUNTERSIGN_WYCHEPROOF does not name the folder of its ECDSA files')
  const folder = resolve(named)
  if (!existsSync(folder)) {
    return withFailure(nothing(), `COUNTERSIGN_WYCHEPROOF names ${folder}, which does not exist`)
  }
  return vitest('wycheproof', ['test/wycheproof'], {
    env: { COUNTERSIGN_WYCHEPROOF: folder },
    timeoutSeconds: 300,
  })
}
