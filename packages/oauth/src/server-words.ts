const longest = 500

/** A server's own words, fit for a message: without what it was sent, without control characters, and not endless. */
export function serverWords(text: string, secrets: readonly string[] = []): string {
  const longestFirst = [...secrets].sort((one, other) => other.length - one.length)
  const clean = longestFirst.reduce((rest, secret) => rest.replaceAll(secret, '[redacted]'), text)
  const printable = clean.replace(/[^\x20-\x7e]/g, ' ')
  return printable.length > longest ? `${printable.slice(0, longest)}…` : printable
}

/** Any value of a server's, as JSON that is fit for a message. */
export function serverValue(value: unknown): string {
  return serverWords(JSON.stringify(value) ?? 'none')
}
