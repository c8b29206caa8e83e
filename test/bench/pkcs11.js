// @ts-check
import { createHash } from 'node:crypto'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { pkcs11Signer } from '@countersign/pkcs11'
import pkcs11js from 'pkcs11js'
import { durationRow, ratioRow, takeTurns, valueRow } from './measure.js'
import { signing } from './signing.js'
import { openSoftHsm } from './softhsm.js'

/** @import { Contender, Rates, Row, Target } from './measure.js' */
/** @import { SoftHsm, Token } from '../support/softhsm.js' */

/**
 * The part of node-webcrypto-p11 that is used. Its own declarations need those of browsers.
 *
 * @typedef {object} Pkcs11Crypto
 * @property {{ keys(): Promise<string[]>, getItem(name: string, algorithm: object, extractable: boolean, usages: string[]): Promise<object> }} keyStorage
 * @property {{ sign(algorithm: object, key: object, data: Uint8Array): Promise<ArrayBuffer> }} subtle
 */

const load = createRequire(import.meta.url)
/** @type {{ Crypto: new (options: { library: string, slot: number, pin: string, readWrite: boolean }) => Pkcs11Crypto }} */
const { Crypto } = load('node-webcrypto-p11')

const callers = 32
/** The default of `pkcs11Signer`; the raw loops get as many. */
const sessions = 4
const rounds = 25
const message = Buffer.alloc(320, 'a')

const keys = {
  ES256: { type: 'EC:prime256v1', id: '01', octets: 64 },
  RS256: { type: 'rsa:2048', id: '02', octets: 256 },
}

/** @typedef {keyof typeof keys} Algorithm */

/**
 * Signatures on SoftHSM2, in this process and isolated, without verification, against loops on `pkcs11js` itself and
 * against node-webcrypto-p11. Both find the key beforehand, and hash as the algorithm needs.
 *
 * @returns {AsyncGenerator<Row>}
 */
export async function* run() {
  const hsm = openSoftHsm()
  if (typeof hsm === 'string') {
    yield notMeasured(hsm)
    return
  }
  try {
    const token = await hsm.createToken('bench')
    for (const { type, id } of Object.values(keys)) await token.generateKey({ type, id })
    yield* compare('ES256', hsm, token)
    yield* compare('RS256', hsm, token)
  } finally {
    hsm.remove()
  }
}

/**
 * @param {Algorithm} alg
 * @param {SoftHsm} hsm
 * @param {Token} token
 * @returns {AsyncGenerator<Row>}
 */
async function* compare(alg, hsm, token) {
  const raw = openRaw(alg, hsm, token)
  const options = {
    module: hsm.module,
    token: { label: token.label },
    key: { id: keys[alg].id },
    pin: token.pin,
    sessions,
    verify: false,
  }
  const inProcess = await pkcs11Signer({ ...options, isolate: false })
  const isolated = await pkcs11Signer(options)
  const names = {
    raw: `pkcs11js, ${sessions} sessions`,
    inProcess: 'in process',
    isolated: 'isolated',
    webcrypto: 'node-webcrypto-p11',
  }
  try {
    const many = await takeTurns(
      {
        [names.raw]: raw.loop(sessions),
        [names.inProcess]: signing(inProcess, message, callers),
        [names.isolated]: signing(isolated, message, callers),
        [names.webcrypto]: await webcrypto(alg, hsm, token, raw.slotIndex),
      },
      { rounds, severalProcesses: true },
    )
    /** @type {(of: string, over: string, target?: Target) => Row} */
    const throughput = (of, over, target) =>
      ratioRow(many, {
        name: `${alg} on SoftHSM2, ${of}, ${callers} callers`,
        unit: 'signatures/s',
        of,
        over,
        ...(target === undefined ? {} : { target }),
      })
    // RSA is bound by the processor: three times the rate of a single caller needs as many cores.
    const three = alg === 'ES256' || availableParallelism() > 3 ? { atLeast: 3 } : undefined
    yield throughput(names.inProcess, names.raw, { atLeast: 0.9 })
    yield throughput(names.isolated, names.inProcess, { atLeast: 0.75 })
    yield throughput(names.inProcess, names.webcrypto, three)
    yield throughput(names.isolated, names.webcrypto, three)
    const one = await takeTurns(
      {
        [names.raw]: raw.loop(1),
        [names.inProcess]: signing(inProcess, message, 1),
        [names.isolated]: signing(isolated, message, 1),
      },
      { rounds, severalProcesses: true },
    )
    yield durationRow(one, {
      name: `${alg} on SoftHSM2, in process, one caller`,
      of: names.inProcess,
      over: names.raw,
    })
    yield valueRow(added(one, names.isolated, names.inProcess), {
      name: `${alg} on SoftHSM2, one caller, added by isolation`,
      unit: 'µs',
      target: { atMost: 150 },
    })
  } finally {
    await inProcess.close()
    await isolated.close()
    raw.close()
  }
}

/**
 * The shortest loops on the binding itself that sign in several sessions at the same time.
 *
 * @param {Algorithm} alg
 * @param {SoftHsm} hsm
 * @param {Token} token
 */
function openRaw(alg, hsm, token) {
  const { id, octets } = keys[alg]
  const native = new pkcs11js.PKCS11()
  native.load(hsm.module)
  native.C_Initialize({ flags: pkcs11js.CKF_OS_LOCKING_OK })
  const slots = native.C_GetSlotList(true)
  const slotIndex = slots.findIndex(
    (slot) => native.C_GetTokenInfo(slot).label.trim() === token.label,
  )
  const slot = slots[slotIndex]
  if (slot === undefined) throw new Error(`SoftHSM has no token "${token.label}"`)
  const open = () => native.C_OpenSession(slot, pkcs11js.CKF_SERIAL_SESSION)
  const session = open()
  native.C_Login(session, pkcs11js.CKU_USER, token.pin)
  native.C_FindObjectsInit(session, [
    { type: pkcs11js.CKA_CLASS, value: pkcs11js.CKO_PRIVATE_KEY },
    { type: pkcs11js.CKA_ID, value: Buffer.from(id, 'hex') },
  ])
  const [key] = native.C_FindObjects(session, 1)
  native.C_FindObjectsFinal(session)
  if (key === undefined) throw new Error(`the token has no private key with the ID ${id}`)
  const mechanism = {
    mechanism: alg === 'ES256' ? pkcs11js.CKM_ECDSA : pkcs11js.CKM_SHA256_RSA_PKCS,
  }

  return {
    slotIndex,
    /** @type {(sessions: number) => Contender} */
    loop(sessions) {
      const all = Array.from({ length: sessions }, open)
      return async (times) => {
        let left = times
        const sign = async (/** @type {Buffer} */ own) => {
          while (left-- > 0) {
            const data = alg === 'ES256' ? createHash('sha256').update(message).digest() : message
            native.C_SignInit(own, mechanism, key)
            await native.C_SignAsync(own, data, Buffer.alloc(octets))
          }
        }
        await Promise.all(all.map(sign))
      }
    },
    close: () => native.C_Finalize(),
  }
}

/**
 * The same number of callers in a queue: its one session answers CKR_OPERATION_ACTIVE to two at the same time.
 *
 * @param {Algorithm} alg
 * @param {SoftHsm} hsm
 * @param {Token} token
 * @param {number} slot
 * @returns {Promise<Contender>}
 */
async function webcrypto(alg, hsm, token, slot) {
  const crypto = new Crypto({ library: hsm.module, slot, pin: token.pin, readWrite: false })
  const hash = 'SHA-256'
  const algorithm =
    alg === 'ES256'
      ? { name: 'ECDSA', namedCurve: 'P-256', hash }
      : { name: 'RSASSA-PKCS1-v1_5', hash }
  const names = await crypto.keyStorage.keys()
  const name = names.find((one) => one.startsWith('private-') && one.endsWith(`-${keys[alg].id}`))
  const key = await crypto.keyStorage.getItem(String(name), algorithm, false, ['sign'])
  return async (times) => {
    let left = times
    /** @type {Promise<unknown>} */
    let last = Promise.resolve()
    const sign = async () => {
      while (left-- > 0) {
        last = last.then(() => crypto.subtle.sign(algorithm, key, message))
        await last
      }
    }
    await Promise.all(Array.from({ length: callers }, sign))
  }
}

/**
 * The difference in microseconds between two contenders, round by round.
 *
 * @param {Rates} rates
 * @param {string} of
 * @param {string} over
 */
function added(rates, of, over) {
  const { [of]: values = [], [over]: baselines = [] } = rates
  return values.map((rate, round) => 1e6 / rate - 1e6 / (baselines[round] ?? Number.NaN))
}

/**
 * @param {string} why
 * @returns {Row}
 */
function notMeasured(why) {
  return valueRow([], { name: `signatures on SoftHSM2: not measured, ${why}`, unit: '' })
}
