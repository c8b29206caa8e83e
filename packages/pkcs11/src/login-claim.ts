import { createHash } from 'node:crypto'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isMainThread } from 'node:worker_threads'

/** The right to log in at a token, held by one thread of the process at a time. */
export interface LoginClaim {
  /**
   * `refused elsewhere`: the token refused a PIN of another thread, and none may be tried; `abandoned`: another thread
   * ended while it logged in.
   */
  readonly state: 'held' | 'abandoned' | 'refused elsewhere'
  /** Lets others log in. */
  release(): void
  /** Keeps the other threads from logging in, as long as the process lives. */
  refused(): void
}

/** The tokens at which a PIN of this thread was refused: it knows by itself which one. */
const refusedHere = new Set<string>()

/**
 * Claims the right to log in at a token among all threads of this process.
 *
 * Threads share no memory that they could find without being introduced, so a file without content stands for the
 * claim; its name is of use to this process only, and nothing of the PIN is in it.
 *
 * @param token - what tells the token from all others.
 * @param seconds - how long to wait for another thread.
 * @returns `undefined` where no file can be made.
 */
export async function claimLogin(token: string, seconds: number): Promise<LoginClaim | undefined> {
  const file = join(tmpdir(), `countersign-login-${hash([processName(), token])}`)
  const claim = (state: LoginClaim['state']): LoginClaim => ({
    state,
    release: () => remove(file),
    refused() {
      // The process ends with its main thread, and nobody has to be kept from anything then.
      if (isMainThread && refusedHere.size === 0) {
        process.once('exit', () => refusedHere.forEach(remove))
      }
      refusedHere.add(file)
      quietly(() => writeFileSync(file, 'refused', { mode: 0o600 }))
    },
  })
  const deadline = performance.now() + seconds * 1000
  for (;;) {
    try {
      writeFileSync(file, '', { flag: 'wx', mode: 0o600 })
      return claim('held')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return undefined
    }
    if (quietly(() => readFileSync(file, 'utf8')) === 'refused') {
      return claim(refusedHere.has(file) ? 'held' : 'refused elsewhere')
    }
    if (performance.now() >= deadline) return claim('abandoned')
    await sleep(20)
  }
}

/** Another process of the same number, or this one's successor in a container, has started at another time. */
function processName(): string {
  const stat = quietly(() => readFileSync('/proc/self/stat', 'utf8'))
  const startedAt =
    stat?.slice(stat.lastIndexOf(')')).split(' ')[20] ??
    Math.round(Number(process.hrtime.bigint()) / 1e9 - process.uptime())
  return `${process.pid} ${startedAt}`
}

function remove(file: string): void {
  quietly(() => rmSync(file, { force: true }))
}

function hash(parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32)
}

function quietly<T>(act: () => T): T | undefined {
  try {
    return act()
  } catch {
    return undefined
  }
}
