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

/**
 * Makes an error of a service's SDK fit for a log: its text members, its stack and its causes, see {@link sanitize}.
 *
 * @param error - changed in place, where its members can be written.
 * @param hide - called with the error and each of its causes first, to remove what must not be logged, such as a request
 *   with an access token.
 *
 * @example
 * ```ts
 * import { sanitizeError } from '@countersign/core/backend'
 *
 * const error = new Error('the service said \u001b[2J')
 * sanitizeError(error)
 * console.log(error.message) // the service said  [2J
 * ```
 *
 * @see [CWE-117](https://cwe.mitre.org/data/definitions/117.html)
 */
export function sanitizeError(error: unknown, hide: (error: object) => void = () => {}): void {
  sanitizeErrors(error, hide, 6)
}

function sanitizeErrors(error: unknown, hide: (error: object) => void, depth: number): void {
  if (typeof error !== 'object' || error === null || depth === 0) return
  hide(error)
  for (const member of ['message', ...Object.keys(error)]) {
    const value: unknown = Reflect.get(error, member)
    if (typeof value === 'string') Reflect.set(error, member, sanitize(value))
  }
  if (error instanceof Error) Reflect.set(error, 'stack', cleanStack(error))
  sanitizeErrors((error as { readonly cause?: unknown }).cause, hide, depth - 1)
}

/** The stack of an error whose message is clean. Its own repeats the message that the error was made with. */
function cleanStack({ name, message, stack = '' }: Error): string {
  const frames = stack.split('\n').filter((line) => /^ {4}at /.test(line))
  const last = frames.slice(-Error.stackTraceLimit).map((line) => sanitize(line))
  return [`${sanitize(name)}: ${message}`, ...last].join('\n')
}

function toJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? 'nothing'
  } catch {
    return 'a value that cannot be shown'
  }
}
