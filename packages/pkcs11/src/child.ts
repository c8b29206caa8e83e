import { Worker } from 'node:worker_threads'
import type { PKCS11 } from 'pkcs11js'
import { type Answer, batch, type NumberedRequest, packError, type Request } from './messages.ts'
import { startModule } from './module.ts'
import { Token } from './token.ts'

/** Ends this process when its parent has ended. */
const watchParent = `
  const { workerData } = require('node:worker_threads')
  setInterval(() => {
    if (process.ppid !== workerData) process.kill(process.pid, 'SIGKILL')
  }, 500)`

/**
 * The subprocess of a PKCS#11 module: it loads the module, logs in and signs for its parent, and ends with it.
 *
 * A worker thread watches the parent, since the module may block this thread for ever.
 */
new Worker(watchParent, { eval: true, workerData: process.ppid }).unref()
process.on('disconnect', end)

// A signal to the process group is for the parent, which may need signatures before it ends.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

/** The numbers of the signature requests whose callers still wait. */
const wanted = new Set<number>()
/** The number of the request to close. Its answer is the last one. */
let closing: number | undefined
let native: PKCS11 | undefined
let token: Token | undefined

async function answer(id: number, request: Request): Promise<unknown> {
  if (request.op === 'identify') {
    native ??= await startModule(request.location)
    token ??= new Token(native, request.location)
    return token.identify(request.token)
  }
  if (request.op === 'close') {
    await token?.close()
    finalize()
    return undefined
  }
  if (token === undefined) throw new Error('no token was identified')
  if (request.op === 'open') return token.open(request.login)
  if (request.op === 'describeKey') return token.describeKey(request.selector)
  return request.op === 'sign' ? sign(token, id, request) : undefined
}

async function sign(
  open: Token,
  id: number,
  { key, mechanism, data }: Request & { op: 'sign' },
): Promise<string> {
  wanted.add(id)
  try {
    const octets = Buffer.from(data, 'base64')
    return (await open.sign(key, mechanism, octets, () => wanted.has(id))).toString('base64')
  } finally {
    wanted.delete(id)
  }
}

function finalize(): void {
  try {
    native?.C_Finalize()
  } catch {
    // The token is lost; the process ends in any case.
  }
}

const post = batch<Answer>((answers) => {
  const isLast = answers.some(({ id }) => id === closing)
  process.send?.(answers, undefined, {}, isLast ? end : undefined)
})

function receive({ id, ...request }: NumberedRequest): void {
  if (request.op === 'forget') {
    wanted.delete(id)
    return
  }
  if (request.op === 'close') closing = id
  answer(id, request).then(
    (value) => post({ id, value }),
    (error) => post({ id, error: packError(error) }),
  )
}

process.on('message', (requests: readonly NumberedRequest[]) => {
  for (const request of requests) receive(request)
})

/** Without `process.exit`, since exit handlers of the module may hang. */
function end(): void {
  process.kill(process.pid, 'SIGKILL')
}
