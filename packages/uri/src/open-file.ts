import { type Jwk, type Signer, SignerError } from '@countersign/core'
import { peerError } from '@countersign/core/backend'
import type { FileKeyUri } from './key-uri.ts'
import type { Secret, SignerFromUriOptions } from './options.ts'
import { readSecretFile } from './read-secret-file.ts'
import { backend, failure } from './refusal.ts'

/** Opens a private key that is a file: PEM, DER, or a JWK as JSON. */
export async function openFile(
  { path, alg, kid }: FileKeyUri,
  { passphrase, allowSharedFiles = false }: SignerFromUriOptions,
): Promise<Signer> {
  const file = {
    path,
    what: 'The key file',
    absent: 'ERR_SIGNER_KEY_NOT_FOUND',
    mostOctets: 65_536,
  } as const
  const octets = await readSecretFile(file, allowSharedFiles)
  const { localSigner } = await loadLocal()
  const settings = { key: isJson(octets) ? readJwk(octets) : octets, alg, kid }
  try {
    return await localSigner(settings)
  } catch (error) {
    const denied = SignerError.is(error) && error.code === 'ERR_SIGNER_ACCESS_DENIED'
    if (!denied || passphrase === undefined) throw error
    return localSigner({ ...settings, passphrase: await askForPassphrase(passphrase) })
  }
}

async function loadLocal() {
  try {
    return await import('@countersign/local')
  } catch (cause) {
    throw peerError('@countersign/local', cause, backend)
  }
}

async function askForPassphrase(passphrase: Secret): Promise<string> {
  const given: unknown = typeof passphrase === 'function' ? await passphrase() : passphrase
  if (typeof given !== 'string') throw new TypeError('the passphrase must be a string')
  return given
}

function isJson(octets: Buffer): boolean {
  return /^\s*\{/.test(octets.subarray(0, 64).toString('latin1'))
}

function readJwk(octets: Buffer): Jwk {
  let jwk: Jwk | undefined
  try {
    jwk = JSON.parse(octets.toString('utf8')) as Jwk
  } catch {
    // The cause is left out: a parser quotes what it could not read, which is a key.
  }
  if (typeof jwk?.kty === 'string') return jwk
  throw failure(
    'ERR_SIGNER_KEY_UNSUPPORTED',
    'The key file has JSON in it that is no private JWK; save the one key alone, with its "kty", not a set of keys',
  )
}
