// @ts-check
// Preloaded into a server that listens on a fixed port of all interfaces: it listens on a free port of 127.0.0.1 instead,
// tells its parent the port, and ends with its parent.
import { Server } from 'node:net'

const { listen } = Server.prototype

/**
 * @this {Server}
 * @param {unknown[]} args
 */
function listenOnLoopback(...args) {
  const listening = args.find((argument) => typeof argument === 'function')
  return listen.call(this, { port: 0, host: '127.0.0.1' }, () => {
    process.send?.(this.address())
    if (typeof listening === 'function') listening.call(this)
  })
}

Object.assign(Server.prototype, { listen: listenOnLoopback })
process.on('disconnect', () => process.exit())
