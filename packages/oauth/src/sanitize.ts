const longest = 500

/**
 * Makes text from a server fit for an error message or a terminal: one line of at most 500 characters, without the
 * given secrets and without control, escape, bidirectional and other invisible characters.
 *
 * @param text - what the server sent.
 * @param secrets - what was sent to the server; each occurrence becomes `[redacted]`.
 * @returns the text; `…` marks where it was cut.
 *
 * @example
 * ```ts
 * import { sanitize } from '@countersign/oauth/provider'
 *
 * console.error(sanitize('unknown client\u001b[2J'))
 * ```
 *
 * @see [Unicode Technical Report 36, §2.10](https://www.unicode.org/reports/tr36/#Bidirectional_Text_Spoofing)
 */
export function sanitize(text: string, secrets: readonly string[] = []): string {
  const longestFirst = [...secrets].sort((one, other) => other.length - one.length)
  const redacted = longestFirst.reduce(
    (rest, secret) => rest.replaceAll(secret, '[redacted]'),
    text,
  )
  const cut = redacted.length > longest ? redacted.slice(0, longest) : redacted
  // After the cut, which may have split a pair of surrogates.
  const clean = cut.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, ' ')
  return cut === redacted ? clean : `${clean}…`
}

/** Any value from a server as JSON, cut and cleaned like {@link sanitize}. */
export function sanitizeValue(value: unknown): string {
  try {
    return sanitize(JSON.stringify(value) ?? 'none')
  } catch {
    return 'a value that is nested too deeply to show'
  }
}
