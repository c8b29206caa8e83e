/**
 * Writes the caller's members as JSON, each with a leading comma, to stand behind members that are set already.
 *
 * @throws `TypeError` when a member would replace one of those, or `members` is not an object of members.
 */
export function jsonMembers(
  members: Readonly<Record<string, unknown>>,
  reserved: ReadonlySet<string>,
  option: string,
): string {
  if (typeof members !== 'object' || members === null || Array.isArray(members))
    throw new TypeError(`"${option}" must be an object`)
  let json = ''
  // Member by member, since a "toJSON" among them would otherwise write the whole object.
  for (const [name, value] of Object.entries(members)) {
    if (reserved.has(name)) throw new TypeError(`"${option}.${name}" cannot be set or replaced`)
    const encoded: string | undefined = JSON.stringify(value)
    if (encoded !== undefined) json += `,${JSON.stringify(name)}:${encoded}`
  }
  return json
}
