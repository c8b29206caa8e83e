import { join } from 'node:path'
import { packAll, withTarballs } from '../lib/pack.mjs'
import { prepare } from '../lib/prepare.mjs'
import { cache } from '../lib/root.mjs'

/** `npm run pack [-- WORDS]`: packs the packages, and prints the `npm install` line with tarballs for their names. */
export async function main(/** @type {string[]} */ args) {
  await prepare()
  const packed = await packAll(join(cache, 'tarballs'))
  const words = args.length === 0 ? ['countersign'] : args
  console.log(`npm install ${withTarballs(words, packed).join(' ')}`)
  return 0
}
