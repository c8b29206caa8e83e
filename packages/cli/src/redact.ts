const patterns = [
  /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g,
  /\bey[\w-]{8,}\.[\w-]{8,}\.[\w-]+/g,
  /(?<=\bBearer\s+)[\w.~+/=-]{8,}/gi,
  /(?<=["']?(?:access_token|client_secret|client_assertion)["']?\s*[:=]\s*["']?)[\w.~+/=-]{8,}/gi,
  /(?<="(?:d|p|q|dp|dq|qi|priv)"\s*:\s*")[\w-]+/g,
  /(?<=\bpin-value=)[^&\s]+/gi,
]

const secrets = new Set<string>()

/** Registers a secret, such as a PIN or a token, for {@link redact}. */
export function registerSecret(value: string): void {
  if (value.length < 4) return
  secrets.add(value)
  secrets.add(encodeURIComponent(value))
}

/** The patterns can take quadratic time, and a server decides how long its text is. */
const longest = 10_000

/**
 * Returns the first 10,000 characters of a text, with registered secrets, and what looks like a key, an assertion or a
 * token, replaced.
 */
export function redact(text: string): string {
  const longestFirst = [...secrets].sort((one, other) => other.length - one.length)
  const without = longestFirst.reduce((rest, secret) => rest.replaceAll(secret, '[redacted]'), text)
  return patterns.reduce(
    (rest, pattern) => rest.replaceAll(pattern, '[redacted]'),
    without.slice(0, longest),
  )
}

/** Control characters except line feed and tab, line separators, and characters that change the direction of text. */
const controls = /[^\P{Cc}\n\t]|[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu

/** Makes text safe to print: CRLF becomes a line feed, and other control characters become U+FFFD. */
export function withoutControls(text: string): string {
  return text.replaceAll('\r\n', '\n').replaceAll(controls, '\ufffd')
}

/** Formats JSON that is safe to print. `JSON.stringify` alone leaves C1 and bidirectional characters unescaped. */
export function jsonText(value: object, indent?: number): string {
  return JSON.stringify(value, undefined, indent).replaceAll(
    controls,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
