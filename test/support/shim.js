// @ts-check
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const source = fileURLToPath(new URL('../pkcs11/shim/shim.c', import.meta.url))
const cache = fileURLToPath(new URL('../../.cache/shim/', import.meta.url))
const require = createRequire(import.meta.url)

/**
 * A PKCS#11 module that fails on request and records its calls; see shim.c.
 *
 * @typedef {object} Shim
 * @property {string} module
 * @property {(fault: string, content?: string | number) => void} set
 * @property {(fault: string) => boolean} isSet
 * @property {(fault: string) => void} clear
 * @property {() => void} forget  removes all faults and recorded calls
 * @property {() => Call[]} calls
 * @property {(name: string) => number} count  of calls
 *
 * @typedef {object} Call
 * @property {number} pid
 * @property {string} name
 * @property {number} detail  the user type of a login, the mechanism of C_SignInit
 */

/**
 * Puts a shim in front of a SoftHSM, and makes it available to this process and its children.
 *
 * @param {import('./softhsm.js').SoftHsm} hsm
 * @param {string} [behind]  the module that it forwards to; SoftHSM by default
 * @returns {Shim}
 */
export function createShim(hsm, behind = hsm.module) {
  const folder = mkdtempSync(join(hsm.folder, 'shim-'))
  const log = join(folder, 'log')
  Object.assign(process.env, {
    COUNTERSIGN_PKCS11_SHIM: folder,
    COUNTERSIGN_PKCS11_SHIM_MODULE: behind,
  })
  const calls = () =>
    existsSync(log)
      ? readFileSync(log, 'utf8')
          .split('\n')
          .filter((line) => line !== '')
          .map((line) => line.split(' '))
          .map(([pid, name = '', detail]) => ({ pid: Number(pid), name, detail: Number(detail) }))
      : []
  return {
    module: compile(),
    set: (fault, content = '') => writeFileSync(join(folder, fault), String(content)),
    isSet: (fault) => existsSync(join(folder, fault)),
    clear: (fault) => rmSync(join(folder, fault), { force: true }),
    forget() {
      for (const file of readdirSync(folder)) if (file !== 'log') rmSync(join(folder, file))
      // Truncated and not removed, because modules have it open.
      writeFileSync(log, '')
    },
    calls,
    count: (name) => calls().filter((call) => call.name === name).length,
  }
}

/** @returns {string} the path of the shim's library, compiled again when its source has changed */
function compile() {
  const includes = join(dirname(require.resolve('pkcs11js/package.json')), 'includes')
  const name = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 16)
  const library = join(cache, `${name}.so`)
  if (existsSync(library)) return library
  mkdirSync(cache, { recursive: true })
  const own = join(cache, `${name}.${process.pid}`)
  const options = ['-shared', '-fPIC', '-O1', '-Wall', `-I${includes}`]
  execFileSync('cc', [...options, '-o', own, source, '-ldl'], { timeout: 60_000 })
  renameSync(own, library)
  return library
}
