// @ts-check
import { generateKeyPairSync, sign } from 'node:crypto'

/**
 * @param {number} tag
 * @param {...Uint8Array} parts
 */
function der(tag, ...parts) {
  const content = Buffer.concat(parts)
  const { byteLength } = content
  const length =
    byteLength < 0x80 ? [byteLength] : [0x82, Math.floor(byteLength / 256), byteLength % 256]
  return Buffer.concat([Buffer.from([tag, ...length]), content])
}

const ecdsaWithSha256 = der(0x30, Buffer.from('06082a8648ce3d040302', 'hex'))
const validity = der(
  0x30,
  der(0x17, Buffer.from('250101000000Z')),
  der(0x17, Buffer.from('451231235959Z')),
)

/** @param {string} commonName */
function named(commonName) {
  const type = Buffer.from('0603550403', 'hex')
  return der(0x30, der(0x31, der(0x30, type, der(0x0c, Buffer.from(commonName)))))
}

/**
 * A certificate in DER, RFC 5280 §4.1.
 *
 * @param {object} content
 * @param {string} content.issuer
 * @param {string} content.subject
 * @param {import('node:crypto').KeyObject} content.publicKey
 * @param {import('node:crypto').KeyObject} content.issuerKey  P-256, private
 * @param {Buffer[]} [content.extensions]
 */
function certificate({ issuer, subject, publicKey, issuerKey, extensions = [] }) {
  const hasExtensions = extensions.length > 0
  const toBeSigned = der(
    0x30,
    ...(hasExtensions ? [der(0xa0, der(0x02, Buffer.of(2)))] : []),
    der(0x02, Buffer.of(1)),
    ecdsaWithSha256,
    named(issuer),
    validity,
    named(subject),
    publicKey.export({ format: 'der', type: 'spki' }),
    ...(hasExtensions ? [der(0xa3, der(0x30, ...extensions))] : []),
  )
  const signature = sign('sha256', toBeSigned, issuerKey)
  return der(0x30, toBeSigned, ecdsaWithSha256, der(0x03, Buffer.of(0), signature))
}

const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' })

/**
 * Makes a certificate for a public key, in DER, from a new issuer whose key is discarded.
 *
 * @param {import('node:crypto').KeyObject} publicKey
 */
export function certificateFor(publicKey) {
  const [issuer, subject] = ['countersign', 'countersign']
  return certificate({ issuer, subject, publicKey, issuerKey: newKey().privateKey })
}

/**
 * Makes the key and certificate of a TLS server on loopback, and the new CA that its clients must trust, all in PEM.
 *
 * @param {readonly string[]} names  that the certificate is for beside 127.0.0.1; `*.example.com` for any in a domain
 */
export function tlsIdentity(names = ['localhost']) {
  const authority = newKey()
  const server = newKey()
  const issuer = 'countersign test CA'
  const isAuthority = Buffer.from('30030101ff', 'hex')
  const ca = certificate({
    issuer,
    subject: issuer,
    publicKey: authority.publicKey,
    issuerKey: authority.privateKey,
    extensions: [der(0x30, Buffer.from('0603551d13', 'hex'), der(0x04, isAuthority))],
  })
  const alternatives = der(
    0x30,
    der(0x87, Buffer.of(127, 0, 0, 1)),
    ...names.map((name) => der(0x82, Buffer.from(name))),
  )
  const cert = certificate({
    issuer,
    subject: 'countersign test server',
    publicKey: server.publicKey,
    issuerKey: authority.privateKey,
    extensions: [der(0x30, Buffer.from('0603551d11', 'hex'), der(0x04, alternatives))],
  })
  return {
    ca: pem(ca),
    cert: pem(cert),
    key: String(server.privateKey.export({ format: 'pem', type: 'pkcs8' })),
  }
}

/** @param {Buffer} content */
const pem = (content) =>
  `-----BEGIN CERTIFICATE-----\n${content.toString('base64').replace(/.{64}(?=.)/g, '$&\n')}\n-----END CERTIFICATE-----\n`
