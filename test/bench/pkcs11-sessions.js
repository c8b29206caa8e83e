// @ts-check
import { pkcs11Signer } from '@countersign/pkcs11'
import { createShim } from '../support/shim.js'
import { createSoftHsm, findSoftHsm } from '../support/softhsm.js'
import { ratioRow, takeTurns, valueRow } from './measure.js'
import { signing } from './signing.js'

/** @import { Pkcs11Signer } from '@countersign/pkcs11' */
/** @import { Contender, Row } from './measure.js' */

const callers = 32
const counts = [1, 2, 4, 8, 16]
/** What `pkcs11Signer` has by default. */
const usual = 4
const message = Buffer.alloc(320, 'a')

/** What a signature takes in a token on the network, besides what SoftHSM takes. */
const away = 5

/**
 * How many sessions are worth having: isolated, 32 callers, verification off, on a token in memory, which is bound by
 * the processor, and on one that takes its time, which is not.
 *
 * @returns {Promise<Row[]>}
 */
export async function run() {
  if (findSoftHsm() === undefined) {
    return [valueRow([], { name: 'sessions: not measured, SoftHSM2 is not installed', unit: '' })]
  }
  const hsm = createSoftHsm()
  try {
    const token = await hsm.createToken('sessions')
    await token.generateKey({ type: 'EC:prime256v1', label: 'ES256' })
    await token.generateKey({ type: 'rsa:2048', label: 'RS256' })
    const shim = createShim(hsm)
    const open = { token: { label: token.label }, pin: token.pin, verify: false }
    const rows = []
    for (const label of ['ES256', 'RS256']) {
      rows.push(
        ...(await compare(`${label} on SoftHSM2`, (sessions) =>
          pkcs11Signer({ ...open, module: hsm.module, key: { label }, sessions }),
        )),
      )
    }
    shim.set('C_Sign.delay', away)
    rows.push(
      ...(await compare(`ES256, ${away} ms away`, (sessions) =>
        pkcs11Signer({ ...open, module: shim.module, key: { label: 'ES256' }, sessions }),
      )),
    )
    return rows
  } finally {
    hsm.remove()
  }
}

/**
 * @param {string} what
 * @param {(sessions: number) => Promise<Pkcs11Signer>} open
 * @returns {Promise<Row[]>}
 */
async function compare(what, open) {
  const signers = await Promise.all(counts.map(open))
  const name = (/** @type {number} */ count) => `${count} session${count === 1 ? '' : 's'}`
  try {
    /** @type {Record<string, Contender>} */
    const contenders = {}
    for (const [at, signer] of signers.entries()) {
      contenders[name(counts[at] ?? 0)] = signing(signer, message, callers)
    }
    const rates = await takeTurns(contenders, { rounds: 15, severalProcesses: true })
    return counts
      .filter((count) => count !== usual)
      .map((count) =>
        ratioRow(rates, {
          name: `${what}, ${callers} callers, ${name(count)}`,
          unit: 'signatures/s',
          of: name(count),
          over: name(usual),
        }),
      )
  } finally {
    await Promise.all(signers.map((signer) => signer.close()))
  }
}
