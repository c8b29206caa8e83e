/** Text of percent-encoded UTF-8, RFC 3986 §2.1 and §2.5; `undefined` when an escape is bad. */
export function decodeText(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** Octets of percent-encoded ASCII; `undefined` when an escape is bad. */
export function decodeOctets(text: string): Buffer | undefined {
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) return undefined
  const latin1 = text.replace(/%../g, (pair) =>
    String.fromCharCode(Number.parseInt(pair.slice(1), 16)),
  )
  return Buffer.from(latin1, 'latin1')
}

/** Percent-encodes all but unreserved characters and those of `kept`, each of which any part of a URI may have. */
export function encodeText(text: string, kept: ':' | ':/'): string {
  const encoded = encodeURIComponent(text).replaceAll('%3A', ':')
  return kept === ':' ? encoded : encoded.replaceAll('%2F', '/')
}

/** Whether text has a control character, which no name of a key has. */
export function hasControls(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return /[\u0000-\u001f\u007f]/.test(text)
}
