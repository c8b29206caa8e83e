/**
 * Returns the first JavaScript block under the heading "Quick start". It is a whole ECMAScript module: it
 * makes its own key, or reads one from the path in `COUNTERSIGN_EXAMPLE_KEY`, and uses no network.
 *
 * @param {string} readme
 * @returns {string}
 */
export function quickStart(readme) {
  const lines = readme.split('\n')
  const heading = lines.findIndex((line) => /^#+ +quick start\b/i.test(line))
  if (heading === -1) throw new Error('README.md has no heading "Quick start".')
  const open = lines.findIndex((line, i) => i > heading && /^```(?:[jt]s|javascript)\b/.test(line))
  const close = lines.indexOf('```', open + 1)
  if (open === -1 || close === -1) {
    throw new Error('README.md shows no JavaScript under "Quick start".')
  }
  return `${lines.slice(open + 1, close).join('\n')}\n`
}

const importStatement = /^import\s+([^'"]+?)\s+from\s+('[^'\n]+'|"[^"\n]+")$/gm

/**
 * Returns the modules that a program imports.
 *
 * @param {string} source
 * @returns {string[]}
 */
export const importsOfProgram = (source) =>
  [...source.matchAll(importStatement)].map((match) => (match[2] ?? '').slice(1, -1))

/**
 * Returns the same program as a CommonJS module, with `require` for every import.
 *
 * @param {string} source
 * @returns {string}
 */
export function asCommonJs(source) {
  /** @type {string[]} */
  const requires = []
  const body = source.replaceAll(importStatement, (_statement, clause, specifier) => {
    const names = clause.startsWith('{')
      ? clause.replaceAll(/\bas\b/g, ':')
      : /^\*\s+as\s+(\w+)$/.exec(clause)?.[1]
    if (names === undefined) throw new Error(`"import ${clause}": only names can be required.`)
    requires.push(`const ${names} = require(${specifier})`)
    return ''
  })
  return [...requires, 'void (async () => {', body, '})()', ''].join('\n')
}
