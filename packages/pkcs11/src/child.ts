import { Worker } from 'node:worker_threads'
import {
  type Answer,
  packError,
  partSize,
  type Request,
  type Requests,
  unpackError,
} from './channel.ts'
import { Cryptoki } from './cryptoki.ts'
import type { Permission } from './login.ts'
import { outbox } from './outbox.ts'
import { signQuickKeysHere } from './quick-keys.ts'
import { Token } from './token.ts'

/**
 * The process that a PKCS#11 module runs in: it answers the requests of its parent and ends with it.
 *
 * The parent's end is watched from a thread of its own, since a module may hold this one for ever.
 */
const watchdog = new Worker(new URL('./watchdog.js', import.meta.url), {
  workerData: process.ppid,
})
watchdog.unref()
process.on('disconnect', end)

// A signal to the whole group is for the parent to act on, which may have something to sign before it ends.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

/** The signatures that somebody waits for, by the numbers of their requests. */
const wanted = new Set<number>()
/** Whether the parent waits for one answer only. */
let alone = false
/** The number of the request to close, which is answered last. */
let closing: number | undefined
let cryptoki: Cryptoki | undefined
let token: Token | undefined

/** Logins that wait for the parent's leave, which knows what other processes of its have tried. */
const logins: {
  logIn(permission: Permission): boolean | Promise<boolean>
  end(error?: unknown): void
}[] = []

function permit(logIn: (permission: Permission) => boolean | Promise<boolean>): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (error?: unknown) => (error === undefined ? resolve() : reject(error))
    logins.push({ logIn, end })
    post({ wish: 'login' })
  })
}

async function logInAgain(permission: Permission): Promise<boolean> {
  const login = logins.shift()
  try {
    const accepted = await login?.logIn(permission)
    login?.end()
    return accepted === true
  } catch (error) {
    login?.end(error)
    throw error
  }
}

async function answer(request: Request): Promise<unknown> {
  if (request.op === 'identify') {
    const { module, libraryParameters, token: selector, sessions } = request.location
    if (cryptoki === undefined) {
      cryptoki = await Cryptoki.load(module, libraryParameters)
      signQuickKeysHere(cryptoki.native, () => alone)
    }
    token ??= new Token(cryptoki, selector, sessions, permit)
    return token.identify(selector)
  }
  if (request.op === 'close') {
    closing = request.id
    token?.close()
    await cryptoki?.finalize()
    return undefined
  }
  if (request.op === 'logInAgain') return logInAgain(request.permission)
  if (request.op === 'doNotLogIn') return logins.shift()?.end(unpackError(request.error))
  if (token === undefined) throw new Error('no token was identified')
  if (request.op === 'open') return token.open(request.login)
  if (request.op === 'describeKey') return token.describeKey(request.selector)
  return request.op === 'sign' ? sign(token, request) : undefined
}

async function sign(open: Token, request: Request & { op: 'sign' }): Promise<string> {
  const { id, key, mechanism } = request
  const data = Buffer.from(request.data, 'base64')
  wanted.add(id)
  try {
    return (await open.sign(key, mechanism, data, () => wanted.has(id))).toString('base64')
  } finally {
    wanted.delete(id)
  }
}

const post = outbox<Answer>(partSize, (answers) => {
  const isLast = answers.some((answer) => 'id' in answer && answer.id === closing)
  process.send?.(answers, undefined, {}, isLast ? end : undefined)
})

function receive(request: Request): void {
  if (request.op === 'forget') {
    wanted.delete(request.id)
    return
  }
  answer(request).then(
    (value) => post({ id: request.id, value }),
    (error) => post({ id: request.id, error: packError(error) }),
  )
}

process.on('message', (message: Requests) => {
  alone = message.alone
  for (const request of message.requests) receive(request)
})

/** At once: the module's own exit handlers may hang as well as it may. */
function end(): void {
  process.kill(process.pid, 'SIGKILL')
}
