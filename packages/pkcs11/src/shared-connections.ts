import { createHmac, randomBytes } from 'node:crypto'
import { Connection, type ConnectionSettings } from './connection.ts'
import { askForPin, type Pin } from './pin-holder.ts'

interface Shared {
  readonly settings: ConnectionSettings
  readonly connection: Connection
  users: number
}

/** A connection, and how to give it back. */
export interface Lease {
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
export async function shareConnection(
  settings: ConnectionSettings,
  seconds: number,
): Promise<Lease> {
  const name = nameOf(settings)
  let entry = usable(shared.get(name))
  if (entry === undefined) {
    const candidates = [...shared.values()].filter((one) => mayServe(one, settings))
    if (candidates.length > 0) entry = await findServing(candidates, settings)
  }
  entry ??= usable(shared.get(name))
  if (entry === undefined) {
    entry = { settings, connection: new Connection(settings), users: 0 }
    shared.set(name, entry)
  }
  entry.connection.bePatient(seconds)
  entry.users++
  return lease(entry)
}

function lease(entry: Shared): Lease {
  let released = false
  return {
    connection: entry.connection,
    async release() {
      if (released) return
      released = true
      entry.users--
      if (entry.users > 0) return
      const name = nameOf(entry.settings)
      if (shared.get(name) === entry) shared.delete(name)
      await entry.connection.close()
    },
  }
}

/** The one of these that another name of the token, or another function for the same PIN, stands for. */
async function findServing(
  candidates: readonly Shared[],
  { location, pin }: ConnectionSettings,
): Promise<Shared | undefined> {
  for (const candidate of candidates) {
    const reaches = await candidate.connection.reaches(location.token)
    if (!reaches) continue
    const own = pin === undefined ? undefined : await askForPin(pin)
    if (candidate.connection.hasPin(own) && candidate.users > 0) return candidate
  }
  return undefined
}

/** A new signer does not inherit the refused PIN of another one. */
function usable(entry: Shared | undefined): Shared | undefined {
  return entry?.connection.wasRefused ? undefined : entry
}

function mayServe({ settings, connection }: Shared, wanted: ConnectionSettings): boolean {
  const alike = ({ location, isolate, allowFinalPinTry }: ConnectionSettings) =>
    JSON.stringify([{ ...location, token: undefined }, isolate, allowFinalPinTry])
  return !connection.wasRefused && alike(settings) === alike(wanted)
}

function nameOf({ location, isolate, allowFinalPinTry, pin }: ConnectionSettings): string {
  return JSON.stringify([location, isolate, allowFinalPinTry, pinName(pin)])
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
