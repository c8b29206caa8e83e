import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { PKCS11 } from 'pkcs11js'
import { failure } from './failure.ts'

const notForHere = /ELF|file too short|exec format|wrong architecture|mach-o|not a valid win32/i

/** Loads a module's library, or says why it is of no use. */
export async function loadModule(path: string): Promise<PKCS11> {
  const { PKCS11 } = await import('pkcs11js').catch((cause) => {
    throw failure(
      'ERR_SIGNER_CONFIG',
      `pkcs11js is not built: run "${rebuild()}" (it needs a C++ compiler, make and Python 3), and allow its install script if your package manager asks`,
      { cause },
    )
  })
  // A bare name is searched for by the system's loader.
  const isPath = /[\\/]/.test(path)
  if (isPath) await requireFile(path)
  const native = new PKCS11()
  try {
    native.load(path)
  } catch (cause) {
    const text = String((cause as { readonly message?: unknown } | undefined)?.message ?? cause)
    throw failure(
      'ERR_SIGNER_CONFIG',
      `The PKCS#11 module ${path} is of no use here: ${reason(text, isPath ? path : undefined)}`,
      { cause },
    )
  }
  return native
}

/** The command that compiles the addon, with the headers on this machine, since a firewall may refuse to download them. */
function rebuild(): string {
  const folders = [dirname(dirname(process.execPath)), '/usr', '/usr/local']
  const found = folders.find((folder) => existsSync(join(folder, 'include/node/node_api.h')))
  const headers =
    found === undefined || process.platform === 'win32' ? '' : `npm_config_nodedir=${found} `
  return `${headers}npm rebuild pkcs11js`
}

async function requireFile(path: string): Promise<void> {
  const found = await stat(path).catch((cause) => {
    if (cause.code !== 'ENOENT' && cause.code !== 'ENOTDIR') return undefined
    throw failure('ERR_SIGNER_CONFIG', `There is no PKCS#11 module at ${path}; check "module"`, {
      cause,
    })
  })
  if (!found?.isDirectory()) return
  throw failure('ERR_SIGNER_CONFIG', `${path} is a folder; "module" must be the file in it`)
}

function reason(text: string, path: string | undefined): string {
  if (/permission denied/i.test(text)) return 'this user may not read it'
  // The GNU loader calls a file of another architecture absent, although it is there.
  const notThere = /no such file|cannot open shared object/i.test(text)
  const foreign = notThere && path !== undefined && text.startsWith(`${path}:`)
  if (foreign || notForHere.test(text)) {
    return `it is no library for ${process.platform} on ${process.arch}; install the one for this machine`
  }
  if (/C_GetFunctionList|procedure could not be found/i.test(text)) {
    return 'it is a library, but not one of PKCS#11'
  }
  if (notThere) return 'it, or a library that it needs, was not found'
  return 'it cannot be loaded; the cause says why'
}
