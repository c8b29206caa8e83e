/**
 * The module specifiers that a file written by the TypeScript compiler names. It puts every static
 * import and export at the start of a line; what a comment shows as an example is left out.
 *
 * @param {string} source JavaScript or a declaration file
 * @returns {{ fixed: string[], dynamic: string[] }} loaded with the file, and on demand (`import()`, `require`)
 */
export function importsOf(source) {
  const code = source.replaceAll(/^\s*(?:\/?\*|\/\/).*$/gm, '')
  const fixed = [
    ...code.matchAll(/^(?:import|export)\b[^'"`;]*?\bfrom\s*(['"])([^'"\n]+)\1/gm),
    ...code.matchAll(/^import\s*(['"])([^'"\n]+)\1/gm),
  ]
  const dynamic = code.matchAll(/\b(?:import|require|require\.resolve)\(\s*(['"])([^'"\n]+)\1/g)
  const specifiers = (/** @type {Iterable<RegExpMatchArray>} */ matches) => [
    ...new Set([...matches].map((match) => match[2] ?? '')),
  ]
  return { fixed: specifiers(fixed), dynamic: specifiers(dynamic) }
}

/**
 * The package a bare specifier belongs to; `undefined` for a relative one and for Node's own.
 *
 * @param {string} specifier
 * @returns {string | undefined}
 */
export function packageOf(specifier) {
  if (/^(?:\.|\/|node:)/.test(specifier)) return undefined
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
}
