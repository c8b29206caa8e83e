import { createPublicKey, type JsonWebKeyInput, type KeyObject } from 'node:crypto'
import {
  type Jwk,
  type JwsAlgorithm,
  type KeyProtection,
  type PublicKeyInput,
  SignerError,
} from '@countersign/core'
import { chooseAlgorithm, sanitize } from '@countersign/core/backend'
import { algorithms, type KeyAlgorithm } from './algorithms.ts'
import { isChecksumOf } from './checksum.ts'
import type { GcpKmsPublicKey, Service } from './client.ts'
import { backend, failure, notIntact } from './errors.ts'

/** Reads the public key of a version, and chooses the algorithm. */
export async function readPublicKey(
  service: Service,
  name: string,
  asked: JwsAlgorithm | undefined,
  signal: AbortSignal,
): Promise<{
  alg: JwsAlgorithm
  publicKey: PublicKeyInput
  protection: KeyProtection | undefined
}> {
  const answer = await getPublicKey(service, name, signal)
  if (answer.name !== name) {
    throw notIntact(`was asked for the public key of ${name} and answered for another version`)
  }
  const known = algorithms.get(String(answer.algorithm))
  if (known === undefined) throw unusable(name, answer.algorithm)
  const alg = chooseAlgorithm(asked, known.algs, backend)
  const protection = protections.get(answer.protectionLevel)
  return { alg, publicKey: intactKey(answer, known, alg), protection }
}

function unusable(name: string, algorithm: GcpKmsPublicKey['algorithm']): SignerError {
  const why =
    typeof algorithm === 'number'
      ? `has algorithm ${algorithm}, which this release of @google-cloud/kms has no name for; update it`
      : `is a key for ${sanitize(String(algorithm))}, which makes no JWS signature; use one for ${[...algorithms.keys()].join(', ')}`
  return failure('ERR_SIGNER_KEY_UNSUPPORTED', `${name} ${why}`)
}

/** By protection level, `google.cloud.kms.v1.ProtectionLevel`. */
const protections: ReadonlyMap<unknown, KeyProtection> = new Map([
  ['SOFTWARE', 'software'],
  ['HSM', 'hsm'],
  ['EXTERNAL', 'external'],
  ['EXTERNAL_VPC', 'external'],
])

/** Reads the public key in PEM. For post-quantum keys the service refuses that, so it asks again for their format. */
async function getPublicKey(
  service: Service,
  name: string,
  signal: AbortSignal,
): Promise<GcpKmsPublicKey> {
  const get = async (format: { publicKeyFormat?: 'NIST_PQC' }) => {
    const [answer] = await service.call(
      { permission: 'cloudkms.cryptoKeyVersions.viewPublicKey', resource: name },
      signal,
      (client, options) => client.getPublicKey({ name, ...format }, options),
    )
    return answer
  }
  try {
    return await get({})
  } catch (error) {
    if (!SignerError.is(error) || !mayBeTheFormat.has(error.code)) throw error
    return get({ publicKeyFormat: 'NIST_PQC' }).catch(() => {
      throw error
    })
  }
}

const mayBeTheFormat: ReadonlySet<string> = new Set([
  'ERR_SIGNER_CONFIG',
  'ERR_SIGNER_KEY_UNSUPPORTED',
])

function intactKey(
  { pem, pemCrc32c, publicKey }: GcpKmsPublicKey,
  { key }: KeyAlgorithm,
  alg: JwsAlgorithm,
): PublicKeyInput {
  const octets = pem ? Buffer.from(pem) : publicKey?.data
  if (!(octets instanceof Uint8Array) || octets.byteLength === 0) {
    throw notIntact('returned no public key')
  }
  if (!isChecksumOf(pem ? pemCrc32c : publicKey?.crc32cChecksum, octets)) {
    throw notIntact('returned a public key without its checksum, or with that of another one')
  }
  if (pem && !pem.startsWith('-----BEGIN PUBLIC KEY-----')) {
    throw notIntact('returned something else than a public key')
  }
  const input = pem || { kty: 'AKP', alg, pub: Buffer.from(octets).toString('base64url') }
  const found = kindOf(input)
  if (found === undefined || found === key) return input
  throw notIntact(`returned a public key of ${found} for an algorithm that has ${key}`)
}

/** Type, and curve or size, of a key; `undefined` if Node.js cannot read it, which core then reports. */
function kindOf(input: string | Jwk): string | undefined {
  let key: KeyObject
  try {
    key =
      typeof input === 'string'
        ? createPublicKey(input)
        : createPublicKey({ key: input as JsonWebKeyInput['key'], format: 'jwk' })
  } catch {
    return undefined
  }
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {}
  return [key.asymmetricKeyType, namedCurve ?? modulusLength].filter(Boolean).join(' ')
}
