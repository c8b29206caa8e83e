// Written without recent syntax, so that an old Node.js prints this message and not a syntax error.

/**
 * @param {string} found the version of this Node.js
 * @param {string} wanted such as `>=20.19.0`
 * @returns {string | undefined} the message for the user if this Node.js is too old
 */
export function unsupportedNode(found, wanted) {
  const oldest = wanted.replace('>=', '')
  const a = found.split('.')
  const b = oldest.split('.')
  const by = [0, 1, 2].map((i) => Number(a[i]) - Number(b[i]))
  if ((by[0] || by[1] || by[2] || 0) >= 0) return undefined
  return (
    'Countersign needs Node.js ' +
    oldest +
    ' or newer, and this is ' +
    found +
    ' (' +
    process.execPath +
    '). Install a newer Node.js and run the command again.'
  )
}
