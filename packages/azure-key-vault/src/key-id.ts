import type { SignerError } from '@countersign/core'
import { isLoopback } from '@countersign/core/backend'
import { refusal, service } from './errors.ts'

/** A key identifier: vault, name, and version; `undefined` stands for the newest version. */
export interface KeyId {
  readonly vaultUrl: string
  readonly name: string
  readonly version: string | undefined
}

/** The identifier of one version. */
export interface PinnedKeyId extends KeyId {
  readonly version: string
}

const identifier =
  /^https?:\/\/[^/?#@\\\s]+\/keys\/(?<name>[\da-z-]{1,127})(?:\/(?<version>[\da-z-]{1,127}))?$/i

/** Reads a key identifier, `https://VAULT/keys/NAME` or `https://VAULT/keys/NAME/VERSION`. */
export function parseKeyId(keyId: string): KeyId {
  if (typeof keyId !== 'string') throw new TypeError('"keyId" must be a string')
  const { name, version } = identifier.exec(keyId)?.groups ?? {}
  const url = URL.canParse(keyId) ? new URL(keyId) : undefined
  if (url === undefined || name === undefined) {
    throw refusal(
      'ERR_SIGNER_CONFIG',
      '"keyId" is not the identifier of a key; use https://VAULT/keys/NAME or https://VAULT/keys/NAME/VERSION',
    )
  }
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
    throw refusal(
      'ERR_SIGNER_CONFIG',
      '"keyId" begins with http, which would expose the access token; use https',
    )
  }
  return { vaultUrl: url.origin, name, version }
}

/**
 * Adds the version in the response to an identifier. The vault stays that of the request: the response does not decide
 * where the next request goes.
 */
export function pin(asked: KeyId, found: string | undefined): PinnedKeyId {
  const { name, version } = identifier.exec(found ?? '')?.groups ?? {}
  if (
    version === undefined ||
    !isSame(asked.name, name) ||
    !isSame(asked.version ?? version, version)
  )
    throw foreign()
  return { ...asked, version }
}

/** Throws if the response names another key or version than the request. */
export function requireSame({ name, version }: PinnedKeyId, kid: string | undefined): void {
  const found = identifier.exec(kid ?? '')?.groups
  if (found === undefined) return
  if (!isSame(name, found['name']) || !isSame(version, found['version'] ?? version)) throw foreign()
}

function foreign(): SignerError {
  return refusal(
    'ERR_SIGNER_INTEGRITY',
    `${service} answered for another key or version than the requested one; the answer was discarded`,
  )
}

/** Formats the identifier for the SDK. */
export function format({ vaultUrl, name, version }: PinnedKeyId): string {
  return `${vaultUrl}/keys/${name}/${version}`
}

/** Names in Key Vault are case-insensitive. */
function isSame(asked: string, found: string | undefined): boolean {
  return asked.toLowerCase() === found?.toLowerCase()
}
