const shapes = [
  /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g,
  /\bey[\w-]{8,}\.[\w-]{8,}\.[\w-]+/g,
  /(?<=\bBearer\s+)[\w.~+/=-]{8,}/gi,
  /(?<=["']?(?:access_token|client_secret|client_assertion)["']?\s*[:=]\s*["']?)[\w.~+/=-]{8,}/gi,
  /(?<="(?:d|p|q|dp|dq|qi|priv)"\s*:\s*")[\w-]+/g,
  /(?<=\bpin-value=)[^&\s]+/gi,
]

const secrets = new Set<string>()

/** Has every later message leave this value out: a PIN, a passphrase, a token. */
export function keepSecret(value: string): void {
  if (value.length < 4) return
  secrets.add(value)
  secrets.add(encodeURIComponent(value))
}

/** The shapes take the square of a text's length at worst, and a server may say as much as it likes. */
const longest = 10_000

/**
 * A text, up to 10,000 characters of it, without the secrets that were named, and without what looks like a key, an
 * assertion or a token.
 */
export function redact(text: string): string {
  const longestFirst = [...secrets].sort((one, other) => other.length - one.length)
  const without = longestFirst.reduce((rest, secret) => rest.replaceAll(secret, '[redacted]'), text)
  return shapes.reduce(
    (rest, shape) => rest.replaceAll(shape, '[redacted]'),
    without.slice(0, longest),
  )
}

/** Control characters but line feed and tab, line separators, and marks that change the direction of text. */
const controls = /[^\P{Cc}\n\t]|[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu

/** Makes text safe to print: a line ends with a line feed, and other control characters become U+FFFD. */
export function withoutControls(text: string): string {
  return text.replaceAll('\r\n', '\n').replaceAll(controls, '\ufffd')
}

/** Formats JSON that is safe to print: `JSON.stringify` leaves C1 and bidirectional characters as they are. */
export function jsonText(value: object, indent?: number): string {
  return JSON.stringify(value, undefined, indent).replaceAll(
    controls,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
