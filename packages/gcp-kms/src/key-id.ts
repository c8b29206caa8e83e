import type { GcpKmsVersion, Service } from './client.ts'
import { failure } from './errors.ts'

const form =
  /^projects\/[^/\s]+\/locations\/[^/\s]+\/keyRings\/[^/\s]+\/cryptoKeys\/[^/\s]+(?:\/cryptoKeyVersions\/(\d+))?$/

/** Throws unless the name is that of a key or of a key version. */
export function requireName(name: unknown): void {
  if (typeof name !== 'string') throw new TypeError('"name" must be a string')
  if (form.test(name)) return
  throw failure(
    'ERR_SIGNER_CONFIG',
    'The "name" must be projects/…/locations/…/keyRings/…/cryptoKeys/…, with /cryptoKeyVersions/N appended for one version',
  )
}

/** Returns the name itself if it is that of a version, else that of the key's newest enabled version. */
export async function pinVersion(
  service: Service,
  name: string,
  signal: AbortSignal,
): Promise<string> {
  if (numberOf(name) !== undefined) return name
  let newest = 0n
  let request: { parent: string; pageToken?: string } | undefined = { parent: name }
  while (request !== undefined) {
    // Not every server supports a filter, and a key has few versions.
    const page: { parent: string; pageToken?: string } = request
    const [versions, following] = await service.call(
      { permission: 'cloudkms.cryptoKeyVersions.list', resource: name },
      signal,
      (client, options) => client.listCryptoKeyVersions(page, { ...options, autoPaginate: false }),
    )
    for (const version of versions) {
      const number = enabledNumber(version, name)
      if (number > newest) newest = number
    }
    signal.throwIfAborted()
    request = (following ?? undefined) as { parent: string; pageToken?: string } | undefined
  }
  if (newest > 0n) return `${name}/cryptoKeyVersions/${newest}`
  throw failure(
    'ERR_SIGNER_KEY_DISABLED',
    `${name} has no enabled version; enable one, or create one`,
  )
}

/** The number of an enabled version of this key; 0 for any other version. */
function enabledNumber({ name, state }: GcpKmsVersion, key: string): bigint {
  if (state !== 'ENABLED' || !name?.startsWith(`${key}/`)) return 0n
  return BigInt(numberOf(name) ?? 0)
}

function numberOf(name: string): string | undefined {
  return form.exec(name)?.[1]
}
