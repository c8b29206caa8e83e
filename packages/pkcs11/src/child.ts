import { Worker } from 'node:worker_threads'
import { type Answer, packError, type Request, unpackError } from './channel.ts'
import { Cryptoki } from './cryptoki.ts'
import type { Permission } from './login.ts'
import { Token } from './token.ts'

/**
 * The process that a PKCS#11 module runs in: it answers the requests of its parent and ends with it.
 *
 * The parent's end is watched from a thread of its own, since a module may hold this one for ever.
 */
const watchdog = new Worker(new URL('./watchdog.js', import.meta.url))
watchdog.unref()
// Where the pipe cannot be watched, there is still the channel.
watchdog.on('error', () => {})
process.on('disconnect', end)

// A signal to the whole group is for the parent to act on, which may have something to sign before it ends.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

/** The signatures that somebody waits for, by the numbers of their requests. */
const wanted = new Set<number>()
let cryptoki: Cryptoki | undefined
let token: Token | undefined

/** Logins that wait for the parent's leave, which knows what other processes of its have tried. */
const logins: {
  logIn(permission: Permission): void | Promise<void>
  end(error?: unknown): void
}[] = []

function permit(logIn: (permission: Permission) => void | Promise<void>): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (error?: unknown) => (error === undefined ? resolve() : reject(error))
    logins.push({ logIn, end })
    const wish: Answer = { wish: 'login' }
    process.send?.(wish)
  })
}

async function logInAgain(permission: Permission): Promise<void> {
  const login = logins.shift()
  try {
    await login?.logIn(permission)
    login?.end()
  } catch (error) {
    login?.end(error)
    throw error
  }
}

async function answer(request: Request): Promise<unknown> {
  if (request.op === 'identify') {
    const { module, libraryParameters, token: selector, sessions } = request.location
    cryptoki ??= await Cryptoki.load(module, libraryParameters)
    token ??= new Token(cryptoki, selector, sessions, permit)
    return token.identify()
  }
  if (request.op === 'close') {
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

process.on('message', (request: Request) => {
  if (request.op === 'forget') {
    wanted.delete(request.id)
    return
  }
  answer(request)
    .then(
      (value): Answer => ({ id: request.id, value }),
      (error): Answer => ({ id: request.id, error: packError(error) }),
    )
    .then((reply) => {
      process.send?.(reply, undefined, {}, () => {
        if (request.op === 'close') end()
      })
    })
})

/** At once: the module's own exit handlers may hang as well as it may. */
function end(): void {
  process.kill(process.pid, 'SIGKILL')
}
