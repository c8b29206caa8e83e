import { realpath } from 'node:fs/promises'
import { Cryptoki } from './cryptoki.ts'
import { Token } from './token.ts'
import type { TokenLocation, TokenPort } from './token-port.ts'

const modules = new Map<string, Promise<Cryptoki>>()

/** Loads a module once for the process, however often it is asked for. */
async function sharedModule({ module, libraryParameters }: TokenLocation): Promise<Cryptoki> {
  const path = await realpath(module).catch(() => module)
  const known = modules.get(path)
  if (known !== undefined) return known
  const loading = Cryptoki.load(module, libraryParameters)
  modules.set(path, loading)
  loading.catch(() => modules.delete(path))
  return loading
}

/** A token whose module runs in this process: the quickest way, and at the mercy of the module. */
export function inProcessToken(location: TokenLocation): TokenPort {
  let loaded: Promise<Token> | undefined
  const token = () => {
    loaded ??= sharedModule(location).then(
      (cryptoki) => new Token(cryptoki, location.token, location.sessions),
    )
    return loaded
  }
  return {
    identify: async () => (await token()).identify(),
    open: async (login) => (await token()).open(login),
    describeKey: async (selector) => (await token()).describeKey(selector),
    sign: async (selector, mechanism, data) =>
      (await token()).sign(selector, mechanism, Buffer.from(data)),
    close: async () => (await token()).close(),
    kill() {},
    gone: false,
    lastAnswerAt: Number.POSITIVE_INFINITY,
  }
}
