const longest = 500

/**
 * Makes text of a server fit for a message: without the secrets that were sent to it, without characters that steer a
 * terminal or reorder text, and at most 500 characters long.
 *
 * @param text - what the server said.
 * @param secrets - each is replaced by `[redacted]`; empty ones are ignored.
 *
 * @example
 * ```ts
 * import { sanitize } from '@countersign/core/backend'
 *
 * console.log(sanitize('wrong password: hunter2\u001b[2J', ['hunter2'])) // wrong password: [redacted] [2J
 * ```
 *
 * @see [Unicode, general category C](https://www.unicode.org/reports/tr44/#General_Category_Values)
 */
export function sanitize(text: string, secrets: readonly string[] = []): string {
  // A secret may contain another one.
  const longestFirst = secrets.filter(Boolean).sort((one, other) => other.length - one.length)
  let clean = text
  for (const secret of longestFirst) clean = clean.replaceAll(secret, '[redacted]')
  const cut = clean.length > longest ? `${clean.slice(0, longest)}…` : clean
  return cut.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, ' ')
}

/**
 * Writes any value of a server as JSON that is fit for a message, see {@link sanitize}.
 *
 * @param value - a value that was read from JSON; one that is nested too deeply is described instead.
 *
 * @example
 * ```ts
 * import { sanitizeValue } from '@countersign/core/backend'
 *
 * console.log(sanitizeValue(['ES256', 'RS256'])) // ["ES256","RS256"]
 * ```
 *
 * @see [RFC 8259](https://www.rfc-editor.org/rfc/rfc8259)
 */
export function sanitizeValue(value: unknown): string {
  return sanitize(toJson(value))
}

function toJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? 'nothing'
  } catch {
    return 'a value that cannot be shown'
  }
}
