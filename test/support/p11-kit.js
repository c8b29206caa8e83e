// @ts-check
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { findModule } from './softhsm.js'
import { until } from './until.js'

/** The path of p11-kit's client module, where it is installed. */
const findP11KitClient = () => findModule('p11-kit-client.so')

/**
 * A token behind a socket, like an HSM on the network.
 *
 * @typedef {object} P11KitServer
 * @property {string} module  the path of the module that connects to it
 * @property {{ P11_KIT_SERVER_ADDRESS: string }} env
 * @property {() => Promise<void>} start
 * @property {() => void} freeze  stops answering, like a network that drops all packets
 * @property {() => void} thaw
 * @property {() => Promise<void>} end  also ends the processes that it forked
 */

/**
 * Prepares a server for one token of a SoftHSM, and makes it available to this process and its children.
 *
 * @param {import('./softhsm.js').SoftHsm} hsm
 * @param {string} label  of the token
 * @returns {P11KitServer}
 */
export function createP11KitServer(hsm, label) {
  const module = findP11KitClient()
  if (module === undefined) throw new Error('p11-kit-client is not installed')
  const socket = join(hsm.folder, `p11-kit-${label}.socket`)
  const env = { P11_KIT_SERVER_ADDRESS: `unix:path=${socket}` }
  Object.assign(process.env, env)
  /** @type {import('node:child_process').ChildProcess | undefined} */
  let server

  /** @param {NodeJS.Signals} signal */
  function toAll(signal) {
    // The server forks for each client, so the signal must go to the whole group.
    if (server?.pid !== undefined) process.kill(-server.pid, signal)
  }

  async function end() {
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return
    const exited = once(server, 'exit')
    toAll('SIGKILL')
    await exited
    rmSync(socket, { force: true })
  }

  return {
    module,
    env,
    async start() {
      server = spawn(
        'p11-kit',
        [
          'server',
          '-f',
          '-n',
          socket,
          '--provider',
          hsm.module,
          `pkcs11:token=${encodeURIComponent(label)}`,
        ],
        { env: { ...process.env, ...hsm.env }, detached: true, stdio: 'ignore' },
      )
      await until(() => existsSync(socket))
    },
    freeze: () => toAll('SIGSTOP'),
    thaw: () => toAll('SIGCONT'),
    end,
  }
}
