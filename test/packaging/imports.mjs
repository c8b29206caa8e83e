/**
 * Returns the module specifiers in a file that the TypeScript compiler wrote. The compiler puts every static
 * import and export at the start of a line. Examples in comments are ignored.
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
 * Returns the package of a bare specifier; `undefined` for a relative specifier and for modules of Node.
 *
 * @param {string} specifier
 * @returns {string | undefined}
 */
export function packageOf(specifier) {
  if (/^(?:\.|\/|node:)/.test(specifier)) return undefined
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
}
