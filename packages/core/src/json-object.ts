/**
 * Copies the caller's members of a JSON object.
 *
 * @throws `TypeError` when one of them is reserved, or `members` is not an object of members.
 */
export function readMembers(
  members: Readonly<Record<string, unknown>> | undefined,
  reserved: readonly string[],
  option: string,
): Readonly<Record<string, unknown>> | undefined {
  if (members === undefined) return undefined
  if (typeof members !== 'object' || members === null || Array.isArray(members))
    throw new TypeError(`"${option}" must be an object`)
  // Read once, since a getter or a proxy may answer differently the second time.
  const copy = { ...members }
  for (const name of reserved) {
    if (Object.hasOwn(copy, name)) {
      throw new TypeError(`"${option}.${name}" cannot be set or replaced`)
    }
  }
  return copy
}

/** Writes members as a JSON object, as base64url without padding. */
export function encodeJson(members: Readonly<Record<string, unknown>>): string {
  // A function has no JSON form, but one of this name would write the whole object.
  const isHostile = typeof members['toJSON'] === 'function'
  const json = JSON.stringify(isHostile ? { ...members, toJSON: undefined } : members)
  return Buffer.from(json).toString('base64url')
}
