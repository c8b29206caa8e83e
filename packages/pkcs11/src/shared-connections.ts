import { createHmac, randomBytes } from 'node:crypto'
import { Connection, type ConnectionSettings } from './connection.ts'
import type { Pin } from './pin-holder.ts'

interface Shared {
  readonly connection: Connection
  users: number
}

const shared = new Map<string, Shared>()
const secret = randomBytes(32)
const functions = new WeakMap<() => unknown, number>()
let functionsSeen = 0

/** The connection for these settings, the one that is there already if there is one, and how to give it back. */
export function shareConnection(settings: ConnectionSettings): {
  readonly connection: Connection
  readonly release: () => Promise<void>
} {
  const { location, isolate, allowFinalPinTry, pin } = settings
  const name = JSON.stringify([location, isolate, allowFinalPinTry, pinName(pin)])
  const entry = shared.get(name) ?? { connection: new Connection(settings), users: 0 }
  shared.set(name, entry)
  entry.users++
  let released = false
  return {
    connection: entry.connection,
    async release() {
      if (released) return
      released = true
      entry.users--
      if (entry.users > 0) return
      if (shared.get(name) === entry) shared.delete(name)
      await entry.connection.close()
    },
  }
}

/** What tells two PINs apart without being one. A signer with another PIN has to log in for itself. */
function pinName(pin: Pin | undefined): string | number | undefined {
  if (typeof pin !== 'function') {
    return pin && createHmac('sha256', secret).update(pin).digest('base64url')
  }
  const known = functions.get(pin) ?? ++functionsSeen
  functions.set(pin, known)
  return known
}
