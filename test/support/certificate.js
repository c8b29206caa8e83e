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
const commonName = Buffer.from('0603550403', 'hex')
const name = der(0x30, der(0x31, der(0x30, commonName, der(0x0c, Buffer.from('countersign')))))
const validity = der(
  0x30,
  der(0x17, Buffer.from('250101000000Z')),
  der(0x17, Buffer.from('451231235959Z')),
)

/**
 * A certificate for a public key, in DER (RFC 5280 §4.1), from an issuer that is forgotten at once.
 *
 * @param {import('node:crypto').KeyObject} publicKey
 */
export function certificateFor(publicKey) {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const toBeSigned = der(
    0x30,
    der(0x02, Buffer.of(1)),
    ecdsaWithSha256,
    name,
    validity,
    name,
    publicKey.export({ format: 'der', type: 'spki' }),
  )
  const signature = sign('sha256', toBeSigned, privateKey)
  return der(0x30, toBeSigned, ecdsaWithSha256, der(0x03, Buffer.of(0), signature))
}
