import { headerValue } from './headers.ts'

/** An argument of a tool that a header of the call repeats. */
export interface HeaderParameter {
  /** The names of the members that lead to the argument. */
  readonly path: readonly string[]
  /** What the header is called after `Mcp-Param-`. */
  readonly name: string
}

const declaration = 'x-mcp-header'

/** The types of declared arguments. Servers check the headers of `number` as well, which the standard does not permit. */
const types: ReadonlySet<unknown> = new Set(['string', 'integer', 'boolean', 'number'])

/** Keywords with schemas in which a declaration makes the whole tool invalid. */
const otherSchemas = [
  ...['items', 'prefixItems', 'contains', 'additionalProperties', 'unevaluatedProperties'],
  ...['unevaluatedItems', 'propertyNames', 'patternProperties', 'dependentSchemas', 'oneOf'],
  ...['anyOf', 'allOf', 'not', 'if', 'then', 'else', '$defs', 'definitions'],
]
const schemasByName: ReadonlySet<string> = new Set([
  ...['patternProperties', 'dependentSchemas', '$defs', 'definitions'],
])

const deepest = 64
const mostCharacters = 1000

/**
 * Finds the arguments that the input schema of a tool declares with `x-mcp-header`. The result is empty when a
 * declaration breaks a rule of the standard, or when the declarations have more than 1000 characters.
 *
 * @see [SEP-2243](https://modelcontextprotocol.io/seps/2243-http-standardization)
 */
export function headerParameters(inputSchema: unknown): readonly HeaderParameter[] {
  const found: HeaderParameter[] = []
  return collect(inputSchema, [], found) && isSmallAndUnique(found) ? found : []
}

/** Adds the declarations in a schema; `false` when one of them is not valid. */
function collect(
  schema: unknown,
  path: readonly string[] | undefined,
  found: HeaderParameter[],
  depth = 0,
): boolean {
  if (typeof schema !== 'object' || schema === null) return true
  if (depth > deepest) return false
  const members = schema as { readonly [keyword: string]: unknown }
  if (declaration in members) {
    const { [declaration]: name, type } = members
    if (path === undefined || path.length === 0 || !types.has(type)) return false
    if (typeof name !== 'string' || !isToken(name)) return false
    found.push({ path, name })
  }
  const { properties } = members
  if (typeof properties === 'object' && properties !== null) {
    for (const [key, child] of Object.entries(properties)) {
      if (!collect(child, path && [...path, key], found, depth + 1)) return false
    }
  }
  return otherSchemas.every((keyword) => {
    const value = members[keyword]
    const isMany = typeof value === 'object' && value !== null && schemasByName.has(keyword)
    const schemas = Array.isArray(value) ? value : isMany ? Object.values(value) : [value]
    return schemas.every((one) => collect(one, undefined, found, depth + 1))
  })
}

/** A token of RFC 9110 §5.6.2. */
const isToken = (name: string): boolean => /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)

function isSmallAndUnique(found: readonly HeaderParameter[]): boolean {
  const names = new Set(found.map(({ name }) => name.toLowerCase()))
  const length = found.reduce((sum, { path, name }) => sum + path.join('.').length + name.length, 0)
  return names.size === found.length && length <= mostCharacters
}

/** Makes the headers that repeat arguments of a call. */
export function parameterHeaders(
  parameters: readonly HeaderParameter[],
  given: unknown,
): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const { path, name } of parameters) {
    const value = path.reduce(member, given)
    const isSafe = !Number.isInteger(value) || Number.isSafeInteger(value)
    if (typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number') {
      if (isSafe) headers[`mcp-param-${name.toLowerCase()}`] = headerValue(String(value))
    }
  }
  return headers
}

function member(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
  return (value as { readonly [key: string]: unknown })[key]
}
