import {
  type Answer,
  packError,
  partSize,
  type Request,
  type Requests,
  unpackError,
} from './channel.ts'
import type { KeyDescription } from './find-key.ts'
import type { Permit } from './login.ts'
import { outbox } from './outbox.ts'
import { startChild } from './start-child.ts'
import type { TokenIdentity } from './token.ts'
import { PortLost, type TokenLocation, type TokenPort } from './token-port.ts'

interface Pending {
  resolve(value: unknown): void
  reject(error: unknown): void
  /** Whether somebody still waits for it. */
  wanted: boolean
}

type WithoutId<T> = T extends unknown ? Omit<T, 'id'> : never

const secondsToClose = 1

/**
 * A token whose module runs in a process of its own, which can hang, crash and be ended without harm to this one.
 *
 * @param patienceSeconds - for how long the process may give no answer at all before it is taken to hang.
 * @param permit - is asked when the process has to log in once more.
 */
export function isolatedToken(
  location: TokenLocation,
  patienceSeconds: () => number,
  permit: Permit,
): TokenPort {
  const child = startChild(location.sessions, location.env)
  const pending = new Map<number, Pending>()
  let nextId = 1
  let wanted = 0
  let gone: PortLost | undefined
  let silentSince = 0
  let hasSpoken = false
  let watching = false

  /** A signer for which nobody waits does not keep this process alive. */
  function keepAlive(): void {
    const act = wanted > 0 ? 'ref' : 'unref'
    child[act]()
    // Where the channel has no such methods, as in Bun, it goes with the child.
    child.channel?.[act]?.()
  }

  function forget(call: Pending): void {
    if (!call.wanted) return
    call.wanted = false
    wanted--
    if (wanted === 0) keepAlive()
  }

  function lose(lost: PortLost): void {
    gone ??= lost
    for (const call of pending.values()) {
      forget(call)
      call.reject(gone)
    }
    pending.clear()
  }

  function kill(lost: PortLost): void {
    child.kill('SIGKILL')
    lose(lost)
  }

  /** One timer for all calls, since a busy token answers one after another. */
  function watch(): void {
    if (watching) return
    watching = true
    const milliseconds = silentSince + patienceSeconds() * 1000 - performance.now()
    // Looked at after the answers that may lie there: this process can have been the busy one.
    setTimeout(() => setImmediate(look), Math.max(0, milliseconds)).unref()
  }

  function look(): void {
    watching = false
    if (pending.size === 0) return
    if (performance.now() - silentSince < patienceSeconds() * 1000) watch()
    else kill(new PortLost('hung'))
  }

  function receive(answer: Answer): void {
    if ('wish' in answer) {
      logInAgain().catch(ignore)
      return
    }
    const call = pending.get(answer.id)
    if (call === undefined) return
    pending.delete(answer.id)
    forget(call)
    if ('error' in answer) call.reject(unpackError(answer.error))
    else call.resolve(answer.value)
  }

  child.on('message', (answers: readonly Answer[]) => {
    silentSince = performance.now()
    hasSpoken = true
    for (const answer of answers) receive(answer)
  })
  child.on('error', ({ message }) => lose(new PortLost('unstarted', message)))
  child.on('exit', (code, signal) => {
    const how = signal === null && !hasSpoken ? 'unstarted' : 'ended'
    lose(new PortLost(how, signal ?? `exit code ${code}`))
  })
  keepAlive()

  const post = outbox<Request>(partSize, (requests) => {
    const message: Requests = { requests, alone: pending.size === 1 }
    // A message that cannot be sent belongs to a child that is about to be reported as gone.
    child.send?.(message, ignore)
  })

  function call(request: WithoutId<Request>, signal?: AbortSignal): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (gone !== undefined) {
        reject(gone)
        return
      }
      const id = nextId++
      const entry: Pending = { resolve, reject, wanted: true }
      if (pending.size === 0) silentSince = performance.now()
      pending.set(id, entry)
      wanted++
      if (wanted === 1) keepAlive()
      watch()
      post({ ...request, id })
      signal?.addEventListener(
        'abort',
        () => {
          if (!pending.has(id)) return
          forget(entry)
          post({ id, op: 'forget' })
        },
        { once: true },
      )
    })
  }

  async function logInAgain(): Promise<void> {
    let allowed = false
    try {
      await permit(async (permission) => {
        allowed = true
        return (await call({ op: 'logInAgain', permission })) as boolean
      })
    } catch (error) {
      if (!allowed) await call({ op: 'doNotLogIn', error: packError(error) })
    }
  }

  return {
    identify: (token) =>
      call({ op: 'identify', location: { ...location, token } }) as Promise<TokenIdentity>,
    open: (login) => call({ op: 'open', login }) as Promise<boolean>,
    describeKey: (selector) => call({ op: 'describeKey', selector }) as Promise<KeyDescription>,
    async sign(key, mechanism, { buffer, byteOffset, byteLength }, { signal }) {
      const data = Buffer.from(buffer, byteOffset, byteLength).toString('base64')
      const signature = await call({ op: 'sign', key, mechanism, data }, signal)
      return Buffer.from(String(signature), 'base64')
    },
    async close() {
      const timer = setTimeout(() => child.kill('SIGKILL'), secondsToClose * 1000)
      await call({ op: 'close' }).catch(ignore)
      clearTimeout(timer)
      gone ??= new PortLost('ended')
    },
    kill: () => kill(new PortLost('ended')),
    get gone() {
      return gone !== undefined
    },
  }
}

function ignore(): void {}
