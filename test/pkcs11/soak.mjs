// @ts-check
// `node --expose-gc soak.mjs [SIGNATURES]`: 200,000 signatures from 32 callers at once, in both modes; fewer where no CI
// says that there is time. Every signature is verified by node:crypto, and what a signer holds at the end is what it held at the beginning.
import assert from 'node:assert/strict'
import { createPublicKey, verify } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { pkcs11Signer } from '@countersign/pkcs11'
import { LaneReport } from '../support/lane-report.js'
import { createShim } from '../support/shim.js'
import { createSoftHsm } from '../support/softhsm.js'

if (globalThis.gc === undefined)
  throw new Error('node needs --expose-gc: without it, garbage looks like a leak')

const underCi = !['', '0', 'false'].includes(process.env['CI'] ?? '')
const signatures = Number(process.argv[2] ?? (underCi ? 200_000 : 40_000))
const callers = 32
const sessions = 4
const megabyte = 2 ** 20

/** What a process holds. @param {number} pid */
function holdings(pid) {
  const resident = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
  return {
    residentMegabytes: Math.round(resident / 1024),
    files: readdirSync(`/proc/${pid}/fd`).length,
    threads: readdirSync(`/proc/${pid}/task`).length,
  }
}

/**
 * @param {import('@countersign/core').ClosableSigner} signer
 * @param {number} count
 * @returns {Promise<number>} how many verify
 */
async function sign(signer, count) {
  const key = createPublicKey({ key: { ...signer.publicJwk }, format: 'jwk' })
  let next = 0
  let right = 0
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (next < count) {
        const input = Buffer.from(`signing input ${next++}`)
        const signature = await signer.sign(input)
        if (verify('sha256', input, { key, dsaEncoding: 'ieee-p1363' }, signature)) right++
      }
    }),
  )
  return right
}

const report = new LaneReport()
const hsm = createSoftHsm()
try {
  const token = await hsm.createToken('soak')
  await token.generateKey({ type: 'EC:prime256v1', label: 'key' })
  const shim = createShim(hsm)
  for (const isolate of [true, false]) {
    const where = isolate ? 'in a process of its own' : 'in this process'
    shim.forget()
    const signer = await pkcs11Signer({
      module: shim.module,
      token: { label: token.label },
      pin: token.pin,
      key: { label: 'key' },
      isolate,
      sessions,
      verify: false,
    })
    const child = shim.calls().at(-1)?.pid ?? process.pid
    const look = () => {
      globalThis.gc?.()
      const { heapUsed, external } = process.memoryUsage()
      return {
        heapMegabytes: Math.round((heapUsed + external) / megabyte),
        parent: holdings(process.pid),
        child: holdings(child),
      }
    }
    // The first tenth warms up: pools fill, code is compiled, memory is taken that is used again.
    const warmUp = Math.ceil(signatures / 10)
    await sign(signer, warmUp)
    const before = look()
    const started = performance.now()
    const right = await sign(signer, signatures - warmUp)
    const seconds = (performance.now() - started) / 1000
    const after = look()
    const logins = shim.count('C_Login')
    const open = shim.count('C_OpenSession') - shim.count('C_CloseSession')
    console.log(
      `${where}: ${right} signatures in ${seconds.toFixed(1)} s, ${Math.round(right / seconds)} a second, each verified`,
    )
    console.log(`  before ${JSON.stringify(before)}\n  after  ${JSON.stringify(after)}`)
    console.log(`  sessions open at the end: ${open}; logins: ${logins}`)
    await signer.close()

    await report.check(`${where}: every signature of ${signatures} verifies`, () => {
      assert.equal(right, signatures - warmUp)
    })
    await report.check(`${where}: sessions, files, threads and the login stay`, () => {
      assert.equal(open, sessions + 1)
      assert.equal(logins, 1)
      for (const which of /** @type {const} */ (['parent', 'child'])) {
        assert.equal(after[which].files, before[which].files)
        assert.equal(after[which].threads, before[which].threads)
      }
    })
    await report.check(`${where}: memory stays`, () => {
      assert.ok(after.heapMegabytes - before.heapMegabytes <= 4, 'the heap has grown')
      for (const which of /** @type {const} */ (['parent', 'child'])) {
        const grown = after[which].residentMegabytes - before[which].residentMegabytes
        assert.ok(grown <= 32, `the ${which} has grown by ${grown} MB`)
      }
    })
  }
} finally {
  hsm.remove()
}
report.finish()
