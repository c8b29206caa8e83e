// @ts-check
import { Socket } from 'node:net'

/**
 * Records the hosts that this process connects to, also by TLS and HTTP/2, and blocks connections to other machines.
 *
 * @typedef {object} Connections
 * @property {readonly string[]} hosts  of all connections, also the blocked ones, in order
 * @property {() => string[]} abroad the hosts that are not loopback
 * @property {() => void} stop
 */

const loopback = /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/

/** @returns {Connections} */
export function watchConnections() {
  /** @type {string[]} */
  const hosts = []
  const { connect } = Socket.prototype
  /** @type {(this: Socket, ...parameters: unknown[]) => Socket} */
  const watched = function (...parameters) {
    const host = hostOf(parameters)
    if (host === undefined) return Reflect.apply(connect, this, parameters)
    hosts.push(host)
    if (loopback.test(host)) return Reflect.apply(connect, this, parameters)
    const error = Object.assign(new Error(`${host} is not on this machine`), {
      code: 'EHOSTUNREACH',
    })
    process.nextTick(() => this.destroy(error))
    return this
  }
  Socket.prototype.connect = /** @type {typeof connect} */ (watched)
  return {
    hosts,
    abroad: () => hosts.filter((host) => !loopback.test(host)),
    stop() {
      Socket.prototype.connect = connect
    },
  }
}

/**
 * Returns the host of a call to `connect`; `undefined` for a path on this machine. node:net passes the parameters to
 * itself in an array.
 *
 * @param {unknown[]} parameters
 * @returns {string | undefined}
 */
function hostOf(parameters) {
  const [first, second] = Array.isArray(parameters[0]) ? parameters[0] : parameters
  if (typeof first === 'object' && first !== null) {
    const { host, path } = /** @type {{ host?: string, path?: string }} */ (first)
    return path ? undefined : (host ?? 'localhost')
  }
  if (typeof first === 'string' && Number.isNaN(Number(first))) return undefined
  return typeof second === 'string' ? second : 'localhost'
}
