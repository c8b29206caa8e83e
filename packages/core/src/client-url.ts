import { isLoopback } from './loopback.ts'

/**
 * Refuses a client identifier that is not the URL of a metadata document, or that servers might read otherwise than it
 * is written: they compare it character by character.
 */
export function requireClientUrl(value: unknown): asserts value is string {
  const url = requireUrl(value, 'clientId')
  const text = String(value)
  if (url.protocol !== 'https:') throw new TypeError('"clientId" must be an https URL')
  requireNoCredentials(url, 'clientId')
  requireNoFragment(text, 'clientId')
  if (text.includes('?')) throw new TypeError('"clientId" must have no query')
  if (/\/(?:\.|%2e){1,2}(?:\/|$)/i.test(text)) {
    throw new TypeError('"clientId" must have no "." and no ".." in its path')
  }
  if (url.pathname === '/') {
    throw new TypeError(
      '"clientId" must have a path, such as https://agent.example.com/client.json',
    )
  }
  if (url.href !== text) throw new TypeError(`"clientId" must be written as ${url.href}`)
}

/** Refuses what is not a URL that an authorization server, or a person, may be sent to from a metadata document. */
export function requireWebUrl(value: unknown, option: string): asserts value is string {
  const url = requireUrl(value, option)
  if (url.protocol !== 'https:') throw new TypeError(`"${option}" must be an https URL`)
  requireNoCredentials(url, option)
  requireNoFragment(String(value), option)
}

/** Refuses where no authorization code may be sent: RFC 6749 §3.1.2, RFC 8252 §7.3, and the MCP authorization rules. */
export function requireRedirectUri(value: unknown): asserts value is string {
  const url = requireUrl(value, 'redirectUris')
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url.hostname))) {
    throw new TypeError('each of "redirectUris" must be an https URL, or an http URL on loopback')
  }
  requireNoCredentials(url, 'redirectUris')
  requireNoFragment(String(value), 'redirectUris')
}

function requireUrl(value: unknown, option: string): URL {
  if (typeof value === 'string' && URL.canParse(value)) return new URL(value)
  throw new TypeError(`"${option}" must be a URL`)
}

function requireNoCredentials(url: URL, option: string): void {
  if (url.username === '' && url.password === '') return
  throw new TypeError(`"${option}" must have no user name and no password in it`)
}

function requireNoFragment(text: string, option: string): void {
  if (text.includes('#')) throw new TypeError(`"${option}" must have no fragment`)
}
