// @ts-check
import { sign } from 'node:crypto'
import { createSigner } from '@countersign/core'
import { derToRaw } from '@countersign/core/der'
import { newKey } from './keys.js'
import { durationRow, takeTurns } from './measure.js'

/** @import { Row } from './measure.js' */

/**
 * The checks of a remote signature before it is returned: the conversion from DER to r ‖ s, and the verification.
 *
 * @returns {AsyncGenerator<Row>}
 */
export async function* run() {
  yield await conversion()
  yield await verification('ES256')
  yield await verification('RS256')
}

async function conversion() {
  const { privateKey } = newKey('ES256')
  const message = Buffer.alloc(320, 'a')
  // Many signatures, since their lengths differ.
  const signatures = Array.from({ length: 256 }, () => sign('sha256', message, privateKey))
  const rates = await takeTurns(
    {
      derToRaw: (times) => {
        for (let time = 0; time < times; time++) {
          derToRaw(signatures[time % signatures.length] ?? message, 'ES256')
        }
      },
      'crypto.sign': (times) => {
        for (let time = 0; time < times; time++) sign('sha256', message, privateKey)
      },
    },
    { processorTime: true },
  )
  return durationRow(rates, { name: 'derToRaw, ES256', of: 'derToRaw', over: 'crypto.sign' })
}

/** @param {'ES256' | 'RS256'} alg */
async function verification(alg) {
  const { privateKey, publicKey } = newKey(alg)
  const key = { key: privateKey, dsaEncoding: /** @type {const} */ ('ieee-p1363') }
  /** @type {import('@countersign/core').SignerBackend} */
  const backend = {
    name: 'bench',
    alg,
    publicKey,
    sign: ({ message }) => sign('sha256', message, key),
  }
  const message = Buffer.alloc(320, 'a')
  /** @type {(verify: boolean) => import('./measure.js').Contender} */
  const signing = (verify) => {
    const signer = createSigner(backend, { verify })
    return async (times) => {
      for (let time = 0; time < times; time++) await signer.sign(message)
    }
  }
  const rates = await takeTurns(
    { unverified: signing(false), verified: signing(true) },
    { processorTime: true },
  )
  return durationRow(rates, {
    name: `${alg} signature, verified before it is returned`,
    of: 'verified',
    over: 'unverified',
  })
}
