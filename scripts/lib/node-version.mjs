// Loaded before everything else and written without recent syntax, so that an old Node gets this
// sentence and not a syntax error.
import { readFileSync } from 'node:fs'

/**
 * @param {string} found the version of this Node
 * @returns {string | undefined} what to tell the user, when it is too old
 */
export function nodeComplaint(found = process.versions.node) {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  const wanted = manifest.engines.node.replace('>=', '')
  if (compare(found, wanted) >= 0) return undefined
  return (
    'Countersign needs Node ' +
    wanted +
    ' or newer, and this is Node ' +
    found +
    ' (' +
    process.execPath +
    '). Install a newer Node and run the command again.'
  )
}

/**
 * @param {string} left
 * @param {string} right
 */
function compare(left, right) {
  const a = left.split('.')
  const b = right.split('.')
  const by = [0, 1, 2].map((i) => Number(a[i]) - Number(b[i]))
  return by[0] || by[1] || by[2] || 0
}
