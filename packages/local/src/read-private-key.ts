import {
  createPrivateKey,
  createPublicKey,
  KeyObject,
  type PrivateKeyInput,
  X509Certificate,
} from 'node:crypto'
import type { Jwk, SignerError } from '@countersign/core'
import { readPrivateJwk } from './read-private-jwk.ts'
import { denied, publicKeyGiven, secretGiven, unreadable } from './refusals.ts'

/** A private key in memory: PEM text, DER or PEM octets, private JWK, or `KeyObject`. */
export type PrivateKey = string | Uint8Array | Jwk | KeyObject

const beginnings = /-----BEGIN ([A-Z0-9 ]+)-----/g
const readableLabels: ReadonlySet<string> = new Set([
  'PRIVATE KEY',
  'ENCRYPTED PRIVATE KEY',
  'EC PRIVATE KEY',
  'RSA PRIVATE KEY',
])

/** Reads a private key in any format, or throws an error that says what was found and what would be accepted. */
export function readPrivateKey(
  input: PrivateKey,
  passphrase: string | Uint8Array | undefined,
): KeyObject {
  if (!['undefined', 'string'].includes(typeof passphrase) && !(passphrase instanceof Uint8Array)) {
    throw new TypeError('"passphrase" must be a string or a Uint8Array')
  }
  if (input instanceof KeyObject) return readKeyObject(input)
  if (typeof input === 'string') return readPem(input, passphrase)
  if (input instanceof Uint8Array) return readOctets(input, passphrase)
  if (typeof input === 'object' && typeof input?.kty === 'string') return readPrivateJwk(input)
  throw new TypeError('"key" must be PEM, DER, a private JWK, a KeyObject or a CryptoKey')
}

function readKeyObject(key: KeyObject): KeyObject {
  if (key.type === 'private') return key
  throw key.type === 'public' ? publicKeyGiven() : secretGiven()
}

function readPem(text: string, passphrase: string | Uint8Array | undefined): KeyObject {
  const blocks = [...text.matchAll(beginnings)].map(({ 1: label = '', index }) => ({
    label,
    index,
  }))
  // The same file often contains parameters and certificates.
  const [block, another] = blocks.filter(({ label }) => label.endsWith('PRIVATE KEY'))
  if (another !== undefined) throw unreadable('there is more than one in the PEM text')
  if (block === undefined) throw noPrivateBlock(blocks[0]?.label)
  const { label, index } = block
  if (!readableLabels.has(label)) throw unreadable(`the PEM block is labelled "${label}"`)
  const ending = `-----END ${label}-----`
  const end = text.indexOf(ending, index)
  if (end < 0) throw unreadable('the PEM block has no end')
  const key = `${text.slice(index, end)}${ending}\n`
  const encrypted = label === 'ENCRYPTED PRIVATE KEY' || key.includes('Proc-Type: 4,ENCRYPTED')
  return decode({ key, format: 'pem' }, encrypted, passphrase)
}

function noPrivateBlock(label: string | undefined): SignerError {
  if (label === undefined) return unreadable('no PEM block was found')
  if (label.endsWith('PUBLIC KEY') || label.endsWith('CERTIFICATE')) return publicKeyGiven()
  return unreadable(`the PEM block is labelled "${label}"`)
}

function readOctets(octets: Uint8Array, passphrase: string | Uint8Array | undefined): KeyObject {
  const key = Buffer.from(octets)
  const text = key.toString('latin1')
  if (text.search(beginnings) >= 0) return readPem(text, passphrase)
  // The three DER formats have no label; each parser refuses the other two.
  for (const type of ['pkcs8', 'sec1', 'pkcs1'] as const) {
    try {
      return createPrivateKey({ key, format: 'der', type })
    } catch {}
  }
  if (isEncryptedDer(key)) return decode({ key, format: 'der', type: 'pkcs8' }, true, passphrase)
  if (isPublicDer(key)) throw publicKeyGiven()
  throw unreadable(
    'the octets are not a PKCS#8, SEC1 or PKCS#1 private key that this Node.js can read',
  )
}

/** Whether this is an EncryptedPrivateKeyInfo of PKCS#8, RFC 5958 §3: it starts with an OID of PKCS#5 or PKCS#12. */
function isEncryptedDer(key: Buffer): boolean {
  const start = key.subarray(0, 24)
  const pkcs5 = Buffer.from('06092a864886f70d0105', 'hex')
  const pkcs12 = Buffer.from('060a2a864886f70d010c01', 'hex')
  return start.includes(pkcs5) || start.includes(pkcs12)
}

function isPublicDer(key: Buffer): boolean {
  const readers = [
    () => createPublicKey({ key, format: 'der', type: 'spki' }),
    () => new X509Certificate(key),
  ]
  return readers.some((read) => {
    try {
      return read() !== undefined
    } catch {
      return false
    }
  })
}

function decode(
  input: PrivateKeyInput,
  encrypted: boolean,
  passphrase: string | Uint8Array | undefined,
): KeyObject {
  if (encrypted && passphrase === undefined) {
    throw denied('The private key is encrypted; give its "passphrase"')
  }
  try {
    return createPrivateKey(
      encrypted && passphrase !== undefined
        ? { ...input, passphrase: Buffer.from(passphrase) }
        : input,
    )
  } catch {
    // No cause: a parser's message about a private key must not be logged.
    throw encrypted
      ? denied('The private key cannot be decrypted; check its "passphrase"')
      : unreadable('its content is damaged, or of a kind that this Node.js cannot read')
  }
}
