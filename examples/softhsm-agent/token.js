// @ts-check
import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createSoftHsm, findSoftHsm } from '@countersign/test/support/softhsm'

/** The exit code that says: nothing is wrong, but something is not installed. */
const notInstalled = 77

/**
 * The token that the agent's key is on: the user's own, when the environment names it, else a new one of SoftHSM in a
 * folder of its own, which is removed when the process ends.
 *
 * @returns {Promise<{ name: string, options: import('@countersign/pkcs11').Pkcs11SignerOptions }>}
 */
export async function openToken() {
  const own = ownToken()
  if (own !== undefined) return own
  requireInstalled()
  const hsm = createSoftHsm()
  process.on('exit', hsm.remove)
  const { label, pin, generateKey } = await hsm.createToken('agents')
  await generateKey({ type: 'EC:prime256v1', label: 'billing-agent', id: '01' })
  return {
    name: 'a new SoftHSM token',
    options: { module: hsm.module, token: { label }, key: { label: 'billing-agent' }, pin },
  }
}

function ownToken() {
  const {
    COUNTERSIGN_PKCS11_MODULE: module,
    COUNTERSIGN_PKCS11_TOKEN: token,
    COUNTERSIGN_PKCS11_KEY: key,
    COUNTERSIGN_PKCS11_PIN_FILE: pinFile,
  } = process.env
  if (!module && !token && !key && !pinFile) return undefined
  if (module && token && key && pinFile) {
    const pin = async () => (await readFile(pinFile, 'utf8')).trim()
    const options = { module, token: { label: token }, key: { label: key }, pin }
    return { name: `the token ${token}`, options }
  }
  throw new Error(
    'COUNTERSIGN_PKCS11_MODULE, _TOKEN, _KEY and _PIN_FILE belong together: set all four, or none for a token of SoftHSM',
  )
}

function requireInstalled() {
  const isThere = (/** @type {string} */ command) =>
    spawnSync(command, ['--help'], { stdio: 'ignore' }).error === undefined
  const lacking = ['softhsm2-util', 'pkcs11-tool'].filter((command) => !isThere(command))
  if (findSoftHsm() === undefined) lacking.push('libsofthsm2.so')
  if (lacking.length === 0) return
  const how = { linux: 'apt-get install softhsm2 opensc', darwin: 'brew install softhsm opensc' }
  const { [process.platform]: command = 'install SoftHSM 2 and OpenSC' } =
    /** @type {Partial<Record<NodeJS.Platform, string>>} */ (how)
  console.error(`SoftHSM is needed, and there is no ${lacking.join(', no ')}: ${command}`)
  process.exit(notInstalled)
}
