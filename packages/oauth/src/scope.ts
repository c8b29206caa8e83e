/** The union of space-separated scope values, RFC 6749 §3.3, in the order of their first appearance. */
export function uniteScopes(...scopes: readonly (string | undefined)[]): string | undefined {
  const values = new Set(scopes.flatMap((scope) => scopeValues(scope)))
  return values.size === 0 ? undefined : [...values].join(' ')
}

/** Tells whether a scope contains every value of another scope. */
export function includesScope(scope: string | undefined, wanted: string | undefined): boolean {
  const values = new Set(scopeValues(scope))
  return scopeValues(wanted).every((value) => values.has(value))
}

/** Bounds on the scope that is requested because of a challenge, so that servers cannot make requests grow. */
const maxValues = 100
const maxOctets = 4096

/**
 * Limits a scope that a server asks for to the allowed values.
 *
 * @param scope - from a challenge or from metadata.
 * @param maxScope - the allowed values, separated by spaces; every value is allowed without it.
 * @returns the allowed values; `undefined` if there are none, or more than 100, or they take more than 4,096 octets.
 */
export function limitScope(
  scope: string | undefined,
  maxScope: string | undefined,
): string | undefined {
  const allowed = maxScope === undefined ? undefined : new Set(scopeValues(maxScope))
  const values = scopeValues(scope).filter((value) => allowed?.has(value) ?? true)
  const limited = uniteScopes(values.join(' '))
  return limited !== undefined && isBounded(limited) ? limited : undefined
}

/** Tells whether a scope has at most 100 values and 4,096 octets. */
export function isBounded(scope: string): boolean {
  return scopeValues(scope).length <= maxValues && Buffer.byteLength(scope) <= maxOctets
}

function scopeValues(scope: string | undefined): string[] {
  return scope === undefined ? [] : scope.split(' ').filter((value) => value !== '')
}
