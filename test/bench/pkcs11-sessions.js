// @ts-check
import { pkcs11Signer } from '@countersign/pkcs11'
import { createShim } from '../support/shim.js'
import { ratioRow, takeTurns, valueRow } from './measure.js'
import { signing } from './signing.js'
import { openSoftHsm } from './softhsm.js'

/** @import { ClosableSigner } from '@countersign/core' */
/** @import { Contender, Row } from './measure.js' */

const callers = 32
const counts = [1, 2, 4, 8, 16]
/** The default of `pkcs11Signer`. */
const usual = 4
const message = Buffer.alloc(320, 'a')

/** Milliseconds that a token on the network adds to a signature of SoftHSM. */
const away = 5

/**
 * The gain from more sessions: isolated, 32 callers, without verification, on a token that is bound by the processor and
 * on one that waits for a network.
 *
 * @returns {AsyncGenerator<Row>}
 */
export async function* run() {
  const hsm = openSoftHsm()
  if (typeof hsm === 'string') {
    yield valueRow([], { name: `sessions: not measured, ${hsm}`, unit: '' })
    return
  }
  try {
    const token = await hsm.createToken('sessions')
    await token.generateKey({ type: 'EC:prime256v1', label: 'ES256' })
    await token.generateKey({ type: 'rsa:2048', label: 'RS256' })
    const shim = createShim(hsm)
    const open = { token: { label: token.label }, pin: token.pin, verify: false }
    for (const label of ['ES256', 'RS256']) {
      yield* compare(`${label} on SoftHSM2`, (sessions) =>
        pkcs11Signer({ ...open, module: hsm.module, key: { label }, sessions }),
      )
    }
    shim.set('C_Sign.delay', away)
    yield* compare(`ES256, ${away} ms away`, (sessions) =>
      pkcs11Signer({ ...open, module: shim.module, key: { label: 'ES256' }, sessions }),
    )
  } finally {
    hsm.remove()
  }
}

/**
 * @param {string} what
 * @param {(sessions: number) => Promise<ClosableSigner>} open
 * @returns {AsyncGenerator<Row>}
 */
async function* compare(what, open) {
  const signers = await Promise.all(counts.map(open))
  const name = (/** @type {number} */ count) => `${count} session${count === 1 ? '' : 's'}`
  try {
    /** @type {Record<string, Contender>} */
    const contenders = {}
    for (const [at, signer] of signers.entries()) {
      contenders[name(counts[at] ?? 0)] = signing(signer, message, callers)
    }
    const rates = await takeTurns(contenders, { rounds: 15, severalProcesses: true })
    for (const count of counts.filter((count) => count !== usual)) {
      yield ratioRow(rates, {
        name: `${what}, ${callers} callers, ${name(count)}`,
        unit: 'signatures/s',
        of: name(count),
        over: name(usual),
      })
    }
  } finally {
    await Promise.all(signers.map((signer) => signer.close()))
  }
}
