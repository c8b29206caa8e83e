/** The union of space-separated scope values, RFC 6749 §3.3, in the order they first appear. */
export function uniteScopes(...scopes: readonly (string | undefined)[]): string | undefined {
  const values = new Set(scopes.flatMap((scope) => scopeValues(scope)))
  return values.size === 0 ? undefined : [...values].join(' ')
}

/** Tells whether every value of `wanted` is among those of `scope`. */
export function includesScope(scope: string | undefined, wanted: string | undefined): boolean {
  const values = new Set(scopeValues(scope))
  return scopeValues(wanted).every((value) => values.has(value))
}

/** Bounds on the scope that is asked for after a challenge, so that servers cannot make requests grow. */
const mostValues = 100
const mostOctets = 4096

/**
 * Leaves of a scope that a server asks for what is allowed.
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

/** Tells whether a scope is within the bounds on what servers can make a client ask for. */
export function isBounded(scope: string): boolean {
  return scopeValues(scope).length <= mostValues && Buffer.byteLength(scope) <= mostOctets
}

function scopeValues(scope: string | undefined): string[] {
  return scope === undefined ? [] : scope.split(' ').filter((value) => value !== '')
}
