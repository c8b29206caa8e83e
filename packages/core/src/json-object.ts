/**
 * Copies the caller's members of a JSON object.
 *
 * @throws `TypeError` when one of them is reserved, or `members` is not an object of members.
 */
export function readMembers(
  members: Readonly<Record<string, unknown>>,
  reserved: ReadonlySet<string>,
  option: string,
): Record<string, unknown> {
  if (typeof members !== 'object' || members === null || Array.isArray(members))
    throw new TypeError(`"${option}" must be an object`)
  // Read once, since a getter or a proxy may answer differently the second time.
  const copy = Object.entries(members)
  for (const [name] of copy) {
    if (reserved.has(name)) throw new TypeError(`"${option}.${name}" cannot be set or replaced`)
  }
  return Object.fromEntries(copy)
}

/** Writes members as a JSON object, and base64url without padding. */
export function encodeJson(members: Readonly<Record<string, unknown>>): string {
  const written: string[] = []
  // Member by member, since a "toJSON" among them would otherwise write the whole object.
  for (const [name, value] of Object.entries(members)) {
    const json: string | undefined = JSON.stringify(value)
    if (json !== undefined) written.push(`${JSON.stringify(name)}:${json}`)
  }
  return Buffer.from(`{${written.join(',')}}`).toString('base64url')
}
