import { createHmac, randomBytes } from 'node:crypto'
import { Connection } from './connection.ts'
import type { ConnectionOptions, Pin } from './options.ts'
import { askForPin } from './pin.ts'

interface Shared {
  readonly options: ConnectionOptions
  readonly connection: Connection
  users: number
}

/** A connection, and how to give it back. */
interface Lease {
  readonly connection: Connection
  readonly release: () => Promise<void>
}

const shared = new Map<string, Shared>()
const secret = randomBytes(32)
const functions = new WeakMap<() => unknown, number>()
let functionsSeen = 0

/**
 * The connection to a token, the one that is there already if there is one.
 *
 * @param seconds - for how long a call may take.
 */
export async function shareConnection(options: ConnectionOptions, seconds: number): Promise<Lease> {
  const name = nameOf(options)
  let entry = usable(shared.get(name))
  if (entry === undefined) {
    const candidates = [...shared.values()].filter((one) => isAlike(one, options))
    if (candidates.length > 0) entry = await findSharable(candidates, options)
  }
  // Another call may have added it meanwhile.
  entry ??= usable(shared.get(name))
  if (entry === undefined) {
    entry = { options, connection: new Connection(options), users: 0 }
    shared.set(name, entry)
  }
  const { connection } = entry
  connection.bePatient(seconds)
  entry.users++
  let released = false
  return {
    connection,
    async release() {
      if (released) return
      released = true
      entry.users--
      if (entry.users > 0) return
      const own = nameOf(entry.options)
      if (shared.get(own) === entry) shared.delete(own)
      await connection.close()
    },
  }
}

/** A new signer does not inherit the refused PIN or the lost token of another one. */
function usable(entry: Shared | undefined): Shared | undefined {
  return entry?.connection.usable ? entry : undefined
}

/** Whether two connections differ at most in how they name the token and its PIN. */
function isAlike({ options, connection }: Shared, wanted: ConnectionOptions): boolean {
  const rest = ({ location, isolate, allowFinalPinTry }: ConnectionOptions) =>
    JSON.stringify([{ ...location, token: undefined }, isolate, allowFinalPinTry])
  return connection.usable && rest(options) === rest(wanted)
}

/** Finds a connection to the same token under another name of it, or with another function for the same PIN. */
async function findSharable(
  candidates: readonly Shared[],
  { location, pin }: ConnectionOptions,
): Promise<Shared | undefined> {
  for (const candidate of candidates) {
    const { connection } = candidate
    if (!(await connection.reaches(location.token))) continue
    const own = pin === undefined ? undefined : await askForPin(pin)
    if (connection.hasPin(own) && candidate.users > 0) return candidate
  }
  return undefined
}

function nameOf({ location, isolate, allowFinalPinTry, pin }: ConnectionOptions): string {
  return JSON.stringify([location, isolate, allowFinalPinTry, pinName(pin)])
}

/** Tells two PINs apart without being one. A signer with another PIN has to log in for itself. */
function pinName(pin: Pin | undefined): string | number | undefined {
  if (typeof pin !== 'function') {
    return pin && createHmac('sha256', secret).update(pin).digest('base64url')
  }
  const known = functions.get(pin) ?? ++functionsSeen
  functions.set(pin, known)
  return known
}
