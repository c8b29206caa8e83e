/** Tells whether a value is a signed JWT in compact serialization, as far as its form tells. */
export function isCompactJwt(value: unknown): value is string {
  return typeof value === 'string' && /^[\w-]+\.[\w-]+\.[\w-]+$/.test(value)
}

/** The members of a JWT's header, without a verification of its signature; none if they cannot be read. */
export function jwtHeader(jwt: string): Readonly<Record<string, unknown>> {
  return readPart(jwt, 0)
}

/** The claims of a JWT, without a verification of its signature; none if they cannot be read. */
export function jwtClaims(jwt: string): Readonly<Record<string, unknown>> {
  return readPart(jwt, 1)
}

function readPart(jwt: string, index: 0 | 1): Readonly<Record<string, unknown>> {
  try {
    const part = Buffer.from(jwt.split('.')[index] ?? '', 'base64url')
    const members: unknown = JSON.parse(part.toString())
    return Object.assign(Object.create(null), members)
  } catch {
    return Object.create(null)
  }
}
