import { type ChildProcess, fork } from 'node:child_process'
import type { Socket } from 'node:net'
import { type Answer, type Request, unpackError } from './channel.ts'
import type { KeyDescription } from './find-key.ts'
import type { TokenIdentity } from './token.ts'
import { PortLost, type TokenLocation, type TokenPort } from './token-port.ts'

interface Pending {
  resolve(value: unknown): void
  reject(error: unknown): void
}

type WithoutId<T> = T extends unknown ? Omit<T, 'id'> : never

/** A token whose module runs in a process of its own, which can hang, crash and be ended without harm to this one. */
export function isolatedToken(location: TokenLocation): TokenPort {
  const child = startChild(location.sessions)
  const pending = new Map<number, Pending>()
  let nextId = 1
  let gone = false
  let lastAnswerAt = performance.now()

  /** A signer that has nothing under way does not keep this process alive. */
  function keepAlive(): void {
    const act = pending.size > 0 ? 'ref' : 'unref'
    child[act]()
    child.channel?.[act]()
  }

  function lose(): void {
    gone = true
    const lost = new PortLost('the process of the PKCS#11 module ended')
    for (const { reject } of pending.values()) reject(lost)
    pending.clear()
    keepAlive()
  }

  child.on('message', (answer: Answer) => {
    lastAnswerAt = performance.now()
    const call = pending.get(answer.id)
    pending.delete(answer.id)
    if (pending.size === 0) keepAlive()
    if ('error' in answer) call?.reject(unpackError(answer.error))
    else call?.resolve(answer.value)
  })
  child.on('error', lose)
  child.on('exit', lose)
  const lifeline = child.stdio[4] as Socket
  lifeline.on('error', () => {})
  lifeline.unref()
  keepAlive()

  function call(request: WithoutId<Request>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (gone) {
        reject(new PortLost('the process of the PKCS#11 module ended'))
        return
      }
      const id = nextId++
      pending.set(id, { resolve, reject })
      if (pending.size === 1) keepAlive()
      // A message that cannot be sent belongs to a child that is about to be reported as gone.
      child.send({ ...request, id }, () => {})
    })
  }

  return {
    identify: () => call({ op: 'identify', location }) as Promise<TokenIdentity>,
    open: (login) => call({ op: 'open', login }) as Promise<void>,
    describeKey: (selector) => call({ op: 'describeKey', selector }) as Promise<KeyDescription>,
    async sign(selector, mechanism, data) {
      const encoded = Buffer.from(data).toString('base64')
      const signature = await call({ op: 'sign', selector, mechanism, data: encoded })
      return Buffer.from(String(signature), 'base64')
    },
    async close() {
      const timer = setTimeout(() => child.kill('SIGKILL'), 1000)
      await call({ op: 'close' }).catch(() => {})
      clearTimeout(timer)
    },
    kill() {
      child.kill('SIGKILL')
    },
    get gone() {
      return gone
    },
    get lastAnswerAt() {
      return lastAnswerAt
    },
  }
}

function startChild(sessions: number): ChildProcess {
  const { NODE_OPTIONS: _, ...env } = process.env
  return fork(new URL('./child.js', import.meta.url), [], {
    // The module's own output has no place in this process's; the fifth is the watchdog's.
    stdio: ['ignore', 'ignore', 'ignore', 'ipc', 'pipe'],
    execArgv: [],
    // One thread for each session, since a module blocks the thread it signs in.
    env: { ...env, UV_THREADPOOL_SIZE: String(Math.max(4, sessions)) },
    serialization: 'json',
  })
}
