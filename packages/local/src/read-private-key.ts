import { createPrivateKey, type JsonWebKey, KeyObject, type PrivateKeyInput } from 'node:crypto'
import { SignerError } from '@countersign/core'

/** A private key in memory: PEM text, DER or PEM octets, private JWK, or `KeyObject`. */
export type PrivateKey = string | Uint8Array | JsonWebKey | KeyObject

const pem = /-----BEGIN ([A-Z0-9 ]+)-----/

/** Reads a private key in any of its forms, or says what was found in its place and what to do. */
export function readPrivateKey(
  input: PrivateKey,
  passphrase: string | Uint8Array | undefined,
): KeyObject {
  if (input instanceof KeyObject) return readKeyObject(input)
  if (typeof input === 'string') return readPem(input, passphrase)
  if (input instanceof Uint8Array) return readOctets(input, passphrase)
  if (typeof input === 'object' && input !== null) return readJwk(input)
  throw new TypeError('"key" must be PEM, DER, a private JWK, a KeyObject or a CryptoKey')
}

function readKeyObject(key: KeyObject): KeyObject {
  if (key.type === 'private') return key
  throw key.type === 'public' ? publicKeyGiven() : secretGiven()
}

function readPem(text: string, passphrase: string | Uint8Array | undefined): KeyObject {
  const label = pem.exec(text)?.[1]
  if (label === undefined) throw unreadable('no PEM block was found')
  if (label.endsWith('PUBLIC KEY') || label.endsWith('CERTIFICATE')) throw publicKeyGiven()
  if (!label.endsWith('PRIVATE KEY')) throw unreadable(`the PEM block is labelled "${label}"`)
  const encrypted = label === 'ENCRYPTED PRIVATE KEY' || text.includes('Proc-Type: 4,ENCRYPTED')
  return decode({ key: text, format: 'pem' }, encrypted, passphrase)
}

function readOctets(octets: Uint8Array, passphrase: string | Uint8Array | undefined): KeyObject {
  const key = Buffer.from(octets)
  const text = key.toString('latin1')
  if (pem.test(text)) return readPem(text, passphrase)
  // The three DER forms do not announce themselves; each is refused by the readers of the others.
  for (const type of ['pkcs8', 'sec1', 'pkcs1'] as const) {
    try {
      return createPrivateKey({ key, format: 'der', type })
    } catch {}
  }
  if (isEncryptedDer(key)) return decode({ key, format: 'der', type: 'pkcs8' }, true, passphrase)
  throw unreadable('the octets are no PKCS#8, SEC1 or PKCS#1 private key')
}

/** Tells PKCS#8's EncryptedPrivateKeyInfo, RFC 5958 §3, by the OID of PKCS#5 or PKCS#12 that it starts with. */
function isEncryptedDer(key: Buffer): boolean {
  const start = key.subarray(0, 24)
  const pkcs5 = Buffer.from('06092a864886f70d0105', 'hex')
  const pkcs12 = Buffer.from('060a2a864886f70d010c01', 'hex')
  return start.includes(pkcs5) || start.includes(pkcs12)
}

function decode(
  input: PrivateKeyInput,
  encrypted: boolean,
  passphrase: string | Uint8Array | undefined,
): KeyObject {
  if (encrypted && passphrase === undefined) {
    throw new SignerError(
      'ERR_SIGNER_ACCESS_DENIED',
      'The private key is encrypted; give its "passphrase"',
      {
        backend: 'local',
      },
    )
  }
  try {
    return createPrivateKey(
      encrypted && passphrase !== undefined
        ? { ...input, passphrase: Buffer.from(passphrase) }
        : input,
    )
  } catch {
    // The cause is left out: what a parser says about a private key is nobody's business.
    if (!encrypted) throw unreadable('its content is damaged or of an unsupported kind')
    throw new SignerError(
      'ERR_SIGNER_ACCESS_DENIED',
      'The private key cannot be decrypted; check its "passphrase"',
      { backend: 'local' },
    )
  }
}

function readJwk(jwk: JsonWebKey): KeyObject {
  if (jwk.kty === 'oct') throw secretGiven()
  if (jwk['use'] !== undefined && jwk['use'] !== 'sig') {
    throw unusable(
      `The JWK is for ${JSON.stringify(jwk['use'])}, not for signatures ("use": "sig")`,
    )
  }
  const operations = jwk['key_ops']
  if (Array.isArray(operations) && !operations.includes('sign')) {
    throw unusable('The JWK does not list "sign" among its "key_ops"')
  }
  if (jwk.d === undefined && jwk['priv'] === undefined) throw publicKeyGiven()
  try {
    return createPrivateKey({ key: jwk, format: 'jwk' })
  } catch {
    throw unreadable('the JWK is damaged or of an unsupported kind')
  }
}

function unreadable(found: string): SignerError {
  return unusable(
    `The private key cannot be read: ${found}; expected PKCS#8, encrypted PKCS#8, SEC1 or PKCS#1 as PEM or DER, or a private JWK`,
  )
}

function publicKeyGiven(): SignerError {
  return unusable('This is a public key, and signing needs the private one')
}

function secretGiven(): SignerError {
  return unusable(
    'This is a symmetric secret, and signing needs an RSA, EC, Ed25519 or ML-DSA private key',
  )
}

function unusable(message: string): SignerError {
  return new SignerError('ERR_SIGNER_KEY_UNSUPPORTED', message, { backend: 'local' })
}
