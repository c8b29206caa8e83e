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
  let loaded: Promise<Token> | undefined
  let gone = false
  const token = () => {
    loaded ??= sharedModule(location).then(
      (cryptoki) => new Token(cryptoki, location.token, location.sessions, permit),
    )
    return loaded
  }
  async function close(): Promise<void> {
    gone = true
    const open = await loaded?.catch(() => undefined)
    open?.close()
  }
  return {
    identify: async () => (await token()).identify(),
    open: async (login) => (await token()).open(login),
    describeKey: async (selector) => (await token()).describeKey(selector),
    sign: async (key, mechanism, data, signal) =>
      (await token()).sign(key, mechanism, Buffer.from(data), () => !signal.aborted),
    close,
    kill: () => void close(),
    get gone() {
      return gone
    },
  }
}
