import type { SignRequest } from '@countersign/core'
import { notIntact } from './backend.ts'
import { checksumOf, isChecksumOf } from './checksum.ts'
import type { GcpKmsSignature } from './client.ts'
import type { Service } from './service.ts'

/** Has a version sign: the digest where the algorithm has a hash, else the message itself. */
export async function signWith(
  service: Service,
  name: string,
  { message, digest, hash, signal }: SignRequest,
): Promise<Uint8Array> {
  const octets = digest ?? message
  const checksum = checksumOf(octets)
  const input =
    hash === undefined
      ? { data: octets, dataCrc32c: checksum }
      : { digest: { [hash]: octets }, digestCrc32c: checksum }
  const [answer] = await service.call(
    { permission: 'cloudkms.cryptoKeyVersions.useToSign', resource: name },
    signal,
    (client, options) => client.asymmetricSign({ name, ...input }, options),
  )
  const isVerified = hash === undefined ? answer.verifiedDataCrc32c : answer.verifiedDigestCrc32c
  return intactSignature(answer, name, isVerified)
}

/** What is not said is as bad as what is wrong. */
function intactSignature(
  { name, signature, signatureCrc32c }: GcpKmsSignature,
  expected: string,
  isVerified: boolean | null | undefined,
): Uint8Array {
  if (name !== expected)
    throw notIntact(`was asked to sign with ${expected} and answered for another version`)
  if (isVerified !== true) throw notIntact('did not verify the checksum of what it signed')
  if (!(signature instanceof Uint8Array) || signature.byteLength === 0) {
    throw notIntact('returned no signature')
  }
  if (!isChecksumOf(signatureCrc32c, signature)) {
    throw notIntact('returned a signature without its checksum, or with that of another one')
  }
  return signature
}
