import type { PKCS11 } from 'pkcs11js'

type SignAsync = (session: Buffer, data: Buffer, signature: Buffer) => Promise<Buffer>

/** In milliseconds: what takes less is made sooner on this thread than it is handed to another one and back. */
const quick = 0.1
/** What takes less may hold up this thread while nobody else has anything to sign. */
const brief = 2
/** So many in a row that were not brief, and a key is not what it was. */
const manySlowOnes = 4

/** How quick a key is, by its best time: whatever else the machine does makes others longer, and none shorter. */
class Pace {
  #shortest: number | undefined
  #slowOnes = 0

  isForThisThread(alone: boolean): boolean {
    if (this.#shortest === undefined) return alone
    return this.#shortest < (alone ? brief : quick)
  }

  took(milliseconds: number): void {
    this.#slowOnes = milliseconds < brief ? 0 : this.#slowOnes + 1
    this.#shortest =
      this.#slowOnes < manySlowOnes
        ? Math.min(milliseconds, this.#shortest ?? milliseconds)
        : milliseconds
  }
}

/**
 * Has a module sign on the calling thread with keys that are quick, and on the thread pool with all others.
 *
 * The way to another thread and back takes longer than a quick signature, and both threads work for it. For a process
 * in which nothing else waits: a module that hangs holds the thread.
 *
 * @param isAlone - whether only one signature is wanted right now.
 */
export function signQuickKeysHere(native: PKCS11, isAlone: () => boolean): void {
  const paces = new WeakMap<Buffer, Pace>()
  const begun = new WeakMap<Buffer, Pace>()
  const begin = native.C_SignInit
  const signElsewhere: SignAsync = native.C_SignAsync

  native.C_SignInit = (session, mechanism, key) => {
    begin.call(native, session, mechanism, key)
    const pace = paces.get(key) ?? new Pace()
    paces.set(key, pace)
    begun.set(session, pace)
  }

  native.C_SignAsync = async (session, data, signature) => {
    const pace = begun.get(session)
    const startedAt = performance.now()
    const made = pace?.isForThisThread(isAlone())
      ? native.C_Sign(session, data, signature)
      : await signElsewhere.call(native, session, data, signature)
    pace?.took(performance.now() - startedAt)
    return made
  }
}
