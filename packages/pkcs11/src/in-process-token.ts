import { realpath } from 'node:fs/promises'
import { Cryptoki } from './cryptoki.ts'
import { failure } from './failure.ts'
import type { Permit } from './login.ts'
import { Token } from './token.ts'
import type { TokenLocation, TokenPort } from './token-port.ts'

const modules = new Map<string, Promise<Cryptoki>>()

/** Loads a module once for the process, however often it is asked for. */
async function sharedModule({ module, libraryParameters }: TokenLocation): Promise<Cryptoki> {
  const path = await realpath(module).catch(() => module)
  let loading = modules.get(path)
  if (loading === undefined) {
    loading = Cryptoki.load(module, libraryParameters)
    modules.set(path, loading)
    loading.catch(() => modules.delete(path))
  }
  const cryptoki = await loading
  if (cryptoki.libraryParameters === libraryParameters) return cryptoki
  throw failure(
    'ERR_SIGNER_CONFIG',
    `The PKCS#11 module ${module} runs in this process with other "libraryParameters" already; leave out "isolate: false" to run it in another`,
  )
}

/** A token whose module runs in this process: the quickest way, and at the mercy of the module. */
export function inProcessToken(location: TokenLocation, permit: Permit): TokenPort {
  let loading: Promise<Token> | undefined
  let token: Token | undefined
  let gone = false
  async function load(): Promise<Token> {
    loading ??= sharedModule(location).then(
      (cryptoki) => new Token(cryptoki, location.token, location.sessions, permit),
    )
    token = await loading
    return token
  }
  async function close(): Promise<void> {
    gone = true
    const open = await loading?.catch(() => undefined)
    open?.close()
  }
  return {
    identify: async (selector) => (await load()).identify(selector),
    open: async (login) => (await load()).open(login),
    describeKey: async (selector) => (await load()).describeKey(selector),
    // Not an async function: at the rate of a token in memory, each turn that a signature waits for shows.
    sign(key, mechanism, data, caller) {
      if (token === undefined) return Promise.reject(new Error('no token was identified'))
      return token.sign(key, mechanism, inBuffer(data), () => !caller.aborted)
    },
    close,
    kill: () => void close(),
    get gone() {
      return gone
    },
  }
}

function inBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}
