import { type Jwk, SignerError } from '@countersign/core'
import { closable, peerError } from '@countersign/core/backend'
import { backend, failure } from '../error.ts'
import { readFilePath, writeFilePath } from '../file-path.ts'
import type { KeyScheme, ParsedKeyUri, Secret } from '../key-scheme.ts'
import { readSecretFile } from '../secret-file.ts'

interface KeyFile {
  /** Absolute path, as this operating system writes it. */
  readonly path: string
}

/** `file:`, a private key in a file. */
export type FileKeyUri = ParsedKeyUri<KeyFile, 'file'>

/** `file:///absolute/path`, RFC 8089: PEM, DER, or a JWK as JSON. */
export const file: KeyScheme<KeyFile> = {
  name: 'file',

  parse({ path, attributes }) {
    return { path: readFilePath(path, 'The key URI'), ...attributes() }
  },

  format({ path }) {
    return { path: writeFilePath(path).slice('file:'.length) }
  },

  async open({ path, alg, kid }, { passphrase, allowSharedFiles: allowShared = false }) {
    const absent = 'ERR_SIGNER_KEY_NOT_FOUND'
    const octets = await readSecretFile({
      path,
      secret: 'key',
      absent,
      maxOctets: 65_536,
      allowShared,
    })
    const { localSigner } = await loadLocal()
    const settings = { key: isJson(octets) ? readJwk(octets) : octets, alg, kid }
    const signer = await localSigner(settings).catch(async (error: unknown) => {
      const isDenied = SignerError.is(error) && error.code === 'ERR_SIGNER_ACCESS_DENIED'
      if (!isDenied || passphrase === undefined) throw error
      return localSigner({ ...settings, passphrase: await textOfSecret(passphrase) })
    })
    return closable(signer, 'local')
  },
}

async function loadLocal() {
  try {
    return await import('@countersign/local')
  } catch (cause) {
    throw peerError('@countersign/local', cause, backend)
  }
}

async function textOfSecret(passphrase: Secret): Promise<string> {
  const text: unknown = typeof passphrase === 'function' ? await passphrase() : passphrase
  if (typeof text !== 'string') throw new TypeError('the passphrase must be a string')
  return text
}

function isJson(octets: Buffer): boolean {
  return /^\s*\{/.test(octets.subarray(0, 64).toString('latin1'))
}

function readJwk(octets: Buffer): Jwk {
  let jwk: Jwk | undefined
  try {
    jwk = JSON.parse(octets.toString('utf8')) as Jwk
  } catch {
    // The cause is left out, because the parser quotes what it could not read: a key.
  }
  if (typeof jwk?.kty === 'string') return jwk
  throw failure(
    'ERR_SIGNER_KEY_UNSUPPORTED',
    'The key file contains JSON that is not a private JWK; save the one key alone, with its "kty", not a set of keys',
  )
}
