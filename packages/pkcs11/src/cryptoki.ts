import { access } from 'node:fs/promises'
import type { PKCS11 } from 'pkcs11js'
import { returnValueOf } from './ckr.ts'
import { CKF_OS_LOCKING_OK } from './constants.ts'
import { failure, moduleFailure } from './failure.ts'

/**
 * A PKCS#11 module loaded into this process, shared by all that use it here: its initialisation and its login
 * belong to the process, and not to whoever asked for them.
 */
export class Cryptoki {
  readonly native: PKCS11
  /** Counts initialisations: what was opened under an earlier one is gone. */
  generation = 0
  readonly #parameters: string | undefined

  private constructor(native: PKCS11, parameters: string | undefined) {
    this.native = native
    this.#parameters = parameters
  }

  /** Loads the module once, and initialises it. */
  static async load(path: string, parameters: string | undefined): Promise<Cryptoki> {
    const { PKCS11 } = await import('pkcs11js').catch((cause) => {
      throw failure(
        'ERR_SIGNER_CONFIG',
        'pkcs11js is not built: run "npm rebuild pkcs11js" (it needs a C++ compiler, make and Python 3), and allow its install script if your package manager asks',
        { cause },
      )
    })
    await access(path).catch((cause) => {
      // A bare name is searched for by the system's loader.
      if (!path.includes('/')) return
      throw failure('ERR_SIGNER_CONFIG', `There is no PKCS#11 module at ${path}; check "module"`, {
        cause,
      })
    })
    const native = new PKCS11()
    try {
      native.load(path)
    } catch (cause) {
      throw unloadable(path, cause)
    }
    const cryptoki = new Cryptoki(native, parameters)
    cryptoki.#initialize()
    return cryptoki
  }

  /** Starts the module anew, unless somebody did since `generation`. */
  reinitialize(generation: number): void {
    if (generation !== this.generation) return
    try {
      this.native.C_Finalize()
    } catch {
      // It was finalised already, or is past it.
    }
    this.#initialize()
  }

  /** Ends the module for this process. */
  finalize(): void {
    this.generation++
    try {
      this.native.C_Finalize()
    } catch {
      // Somebody was quicker.
    }
  }

  #initialize(): void {
    const parameters = this.#parameters
    try {
      // Without locking by the operating system, some modules corrupt their memory when threads sign.
      this.native.C_Initialize({
        flags: CKF_OS_LOCKING_OK,
        ...(parameters === undefined ? {} : { libraryParameters: parameters }),
      })
    } catch (error) {
      if (returnValueOf(error) !== 401) throw moduleFailure(error, 'Initialising the module')
    }
    this.generation++
  }
}

function unloadable(path: string, cause: unknown): Error {
  const text = String((cause as { readonly message?: unknown } | undefined)?.message ?? cause)
  let why = 'it cannot be loaded; check that the libraries it needs are installed'
  if (/ELF|wrong architecture|not a valid Win32|mach-o/i.test(text)) {
    why = `it is no library for ${process.platform} on ${process.arch}; install the one for this machine`
  } else if (/C_GetFunctionList|undefined symbol|symbol not found|GetProcAddress/i.test(text)) {
    why = 'it is a library, but not one of PKCS#11'
  } else if (/no such file|cannot open shared object/i.test(text)) {
    why = 'it, or a library it needs, was not found'
  }
  return failure('ERR_SIGNER_CONFIG', `The PKCS#11 module ${path} is of no use here: ${why}`, {
    cause,
  })
}
