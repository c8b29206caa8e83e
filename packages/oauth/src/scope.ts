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

function scopeValues(scope: string | undefined): string[] {
  return scope === undefined ? [] : scope.split(' ').filter((value) => value !== '')
}
