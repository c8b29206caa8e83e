import { isLoopback } from '@countersign/core/backend'
import { refused } from './refusal.ts'

/** The parts of a URI, as they stand. */
export interface SplitUri {
  readonly scheme: string
  /** All between the colon and the query. */
  readonly hierarchy: string
  readonly query: string | undefined
}

/** Splits a URI at its first colon and its first question mark, changing nothing. */
export function splitUri(uri: string): SplitUri {
  const colon = uri.indexOf(':')
  const scheme = uri.slice(0, Math.max(colon, 0))
  // RFC 7512 §2.3 has "|" besides what RFC 3986 has.
  const strange = (
    scheme === 'pkcs11' ? /[^\w\-.~:/?#[\]@!$&'()*+,;=%|]/ : /[^\w\-.~:/?#[\]@!$&'()*+,;=%]/
  ).exec(uri)
  if (strange !== null) {
    throw refused(
      `The key URI has, at position ${strange.index + 1}, a character that URIs do not have; write it as percent-encoded UTF-8, a space as %20`,
    )
  }
  if (uri.includes('#')) {
    throw refused(
      'The key URI has a fragment, and names no part of a key; a "#" in a value is written %23',
    )
  }
  const mark = uri.indexOf('?')
  if (mark >= 0 && mark === uri.length - 1) {
    throw refused('The key URI has an empty query; leave the "?" out')
  }
  return mark < 0
    ? { scheme, hierarchy: uri.slice(colon + 1), query: undefined }
    : { scheme, hierarchy: uri.slice(colon + 1, mark), query: uri.slice(mark + 1) }
}

/** Refuses what stands before an "@", whether or not it is a secret. */
export function refuseCredentials(authority: string): void {
  if (authority.includes('@')) {
    throw refused(
      'The key URI has credentials in it ("…@"); leave them out: they come from the environment',
    )
  }
}

/** Whether a host, with or without a port, is this machine, in the spelling that a URL would keep. */
export function isThisMachine(host: string): boolean {
  const name = /^(\[.+\]|[^:]+)(?::[1-9]\d{0,4})?$/.exec(host)?.[1]
  if (name === undefined || !URL.canParse(`https://${host}`)) return false
  return new URL(`https://${name}`).hostname === name && isLoopback(name)
}
