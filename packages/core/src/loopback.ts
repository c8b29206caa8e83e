/**
 * Tells whether a host name of a URL is the loopback interface of this machine: `localhost`, 127.0.0.0/8 or ::1.
 *
 * @param hostname - `URL.hostname`, which writes every form of an IPv4 address as four decimal numbers.
 *
 * @example
 * ```ts
 * import { isLoopback } from '@countersign/core/backend'
 *
 * console.log(isLoopback(new URL('http://0x7f.1:8080').hostname)) // true
 * ```
 *
 * @see [RFC 8252 §8.3](https://www.rfc-editor.org/rfc/rfc8252#section-8.3)
 */
export function isLoopback(hostname: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(hostname)
}

/**
 * Tells whether a connection to a host name of a URL may reach this machine: also by the unspecified address, by an
 * IPv4-mapped IPv6 address, and by a name below `localhost`, which some resolvers look up in DNS.
 *
 * @param hostname - as for {@link isLoopback}.
 *
 * @example
 * ```ts
 * import { mayBeLoopback } from '@countersign/core/backend'
 *
 * console.log(mayBeLoopback(new URL('https://vault.localhost').hostname)) // true
 * ```
 *
 * @see [RFC 6761 §6.3](https://www.rfc-editor.org/rfc/rfc6761#section-6.3)
 */
export function mayBeLoopback(hostname: string): boolean {
  return (
    isLoopback(hostname) ||
    /(?:^|\.)localhost\.?$/i.test(hostname) ||
    // 127.0.0.0/8 and 0.0.0.0/8 follow "::ffff:" in hexadecimal.
    /^(?:0(?:\.\d{1,3}){3}|\[::\]|\[::ffff:(?:7f[\da-f]{2}|[\da-f]{1,2}):[\da-f]{1,4}\])$/.test(
      hostname,
    )
  )
}
