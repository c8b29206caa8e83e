import type { Message, Params } from './message.ts'

/** The member of `_meta` with which a message says its protocol version, since 2026-07-28. */
const versionMember = 'io.modelcontextprotocol/protocolVersion'

/** Which member of `params` the header `Mcp-Name` repeats, for each method that has one. */
const nameSources: Readonly<Record<string, keyof Params>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
  'tasks/get': 'taskId',
  'tasks/update': 'taskId',
  'tasks/cancel': 'taskId',
}

/** The protocol version that a request says in itself; `undefined` for a request within a session. */
export function versionOf(message: Message | undefined): string | undefined {
  if (message === undefined || message.kind === 'response') return undefined
  const version = message.params._meta?.[versionMember]
  return typeof version === 'string' ? version : undefined
}

/**
 * Makes the headers that repeat members of a request, which protocol version 2026-07-28 asks for.
 *
 * @see [SEP-2243](https://modelcontextprotocol.io/seps/2243-http-standardization)
 */
export function standardHeaders(message: Message, version: string): Record<string, string> {
  const headers: Record<string, string> = { 'mcp-protocol-version': version }
  if (message.kind !== 'request') return headers
  headers['mcp-method'] = headerValue(message.method)
  const source = Object.hasOwn(nameSources, message.method)
    ? nameSources[message.method]
    : undefined
  const name = source === undefined ? undefined : message.params[source]
  if (typeof name === 'string') headers['mcp-name'] = headerValue(name)
  return headers
}

/** A value as it is if a header can carry it, or else in the Base64 form of SEP-2243. */
export function headerValue(value: string): string {
  const isPlain = /^[\t\x20-\x7e]+$/.test(value) && value === value.trim()
  if (isPlain && !/^=\?base64\?.*\?=$/s.test(value)) return value
  return `=?base64?${Buffer.from(value, 'utf8').toString('base64')}?=`
}
