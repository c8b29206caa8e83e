import { Worker } from 'node:worker_threads'
import { type Answer, packError, type Request } from './channel.ts'
import { Cryptoki } from './cryptoki.ts'
import { Token } from './token.ts'

/**
 * The process that a PKCS#11 module runs in: it answers the requests of its parent and ends with it.
 *
 * The parent's end is watched from a thread of its own, since a module may hold this one for ever.
 */
new Worker(new URL('./watchdog.js', import.meta.url)).unref()
process.on('disconnect', end)

let cryptoki: Cryptoki | undefined
let token: Token | undefined

async function answer(request: Request): Promise<unknown> {
  if (request.op === 'identify') {
    const { module, libraryParameters, token: selector, sessions } = request.location
    cryptoki ??= await Cryptoki.load(module, libraryParameters)
    token ??= new Token(cryptoki, selector, sessions)
    return token.identify()
  }
  if (token === undefined) throw new Error('no token was identified')
  switch (request.op) {
    case 'open':
      return token.open(request.login)
    case 'describeKey':
      return token.describeKey(request.selector)
    case 'sign': {
      const data = Buffer.from(request.data, 'base64')
      return (await token.sign(request.selector, request.mechanism, data)).toString('base64')
    }
    case 'close':
      token.close()
      cryptoki?.finalize()
      return undefined
  }
}

process.on('message', (request: Request) => {
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
