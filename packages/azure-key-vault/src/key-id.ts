import type { SignerError } from '@countersign/core'
import { isLoopback } from '@countersign/core/backend'
import { refusal, service } from './errors.ts'

/** Where a key is: its vault, its name there, and one of its versions, or the newest. */
export interface KeyId {
  readonly vaultUrl: string
  readonly name: string
  readonly version: string | undefined
}

/** The same of one version, which never changes. */
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
      '"keyId" begins with http, which would show the access token; use https',
    )
  }
  return { vaultUrl: url.origin, name, version }
}

/**
 * Binds an identifier to the version that the service answered for. The vault stays the one that was asked: what the
 * service calls itself is not where the next request goes.
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

/** Refuses the signature of a key or version that the service itself calls another one. */
export function requireSame({ name, version }: PinnedKeyId, kid: string | undefined): void {
  const found = identifier.exec(kid ?? '')?.groups
  if (found === undefined) return
  if (!isSame(name, found['name']) || !isSame(version, found['version'] ?? version)) throw foreign()
}

function foreign(): SignerError {
  return refusal(
    'ERR_SIGNER_INTEGRITY',
    `${service} answered for another key or version than it was asked for; what it sent is not used`,
  )
}

/** The identifier as the SDK wants it. */
export function format({ vaultUrl, name, version }: PinnedKeyId): string {
  return `${vaultUrl}/keys/${name}/${version}`
}

/** Key Vault does not tell upper case from lower case in names. */
function isSame(asked: string, found: string | undefined): boolean {
  return asked.toLowerCase() === found?.toLowerCase()
}
