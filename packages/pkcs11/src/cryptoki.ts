import type { PKCS11 } from 'pkcs11js'
import { CKR_CRYPTOKI_ALREADY_INITIALIZED, returnValueOf } from './ckr.ts'
import { CKF_OS_LOCKING_OK } from './constants.ts'
import { moduleFailure } from './failure.ts'
import { loadModule } from './load-module.ts'

/**
 * A PKCS#11 module in this process, shared by all that use it here: its initialisation and its login belong to the
 * process, and not to whoever asked for them.
 */
export class Cryptoki {
  readonly native: PKCS11
  readonly libraryParameters: string | undefined
  #generation = 0
  #running = 0
  #onQuiet: (() => void) | undefined
  #restarting: Promise<void> | undefined

  private constructor(native: PKCS11, libraryParameters: string | undefined) {
    this.native = native
    this.libraryParameters = libraryParameters
  }

  /** Loads the module and initialises it. */
  static async load(path: string, libraryParameters: string | undefined): Promise<Cryptoki> {
    const cryptoki = new Cryptoki(await loadModule(path), libraryParameters)
    cryptoki.#initialize()
    return cryptoki
  }

  /** Counts initialisations: what was opened under an earlier one is gone. */
  get generation(): number {
    return this.#generation
  }

  /** Whether the module is about to be started anew, so that nothing may begin any more. */
  get restarting(): boolean {
    return this.#restarting !== undefined
  }

  /** Settles when nobody is starting the module anew; how that went is for those who asked for it. */
  get settled(): Promise<void> | undefined {
    return this.#restarting?.catch(() => {})
  }

  /** Makes a call that runs in a thread of its own. */
  async run<T>(call: () => Promise<T>): Promise<T> {
    this.#running++
    try {
      return await call()
    } finally {
      this.#running--
      if (this.#running === 0) this.#onQuiet?.()
    }
  }

  /** Starts the module anew, unless somebody did since `generation`; waits for one who does. */
  restart(generation: number): Promise<void> {
    if (this.#restarting === undefined && generation === this.#generation) {
      this.#restarting = this.#restart().finally(() => {
        this.#restarting = undefined
      })
    }
    return this.#restarting ?? Promise.resolve()
  }

  /** Ends the module for this process, after what runs in it. */
  async finalize(): Promise<void> {
    await this.#quiet()
    this.#generation++
    try {
      this.native.C_Finalize()
    } catch {
      // Somebody was quicker, or the token is lost: it has to be let go in any case.
    }
  }

  async #restart(): Promise<void> {
    await this.finalize()
    this.#initialize()
  }

  /** To finalise a module under a running call is undefined behaviour. */
  async #quiet(): Promise<void> {
    if (this.#running === 0) return
    await new Promise<void>((resolve) => {
      this.#onQuiet = resolve
    })
    this.#onQuiet = undefined
  }

  #initialize(): void {
    // The library cuts off the last character; modules read up to the first zero.
    const parameters =
      this.libraryParameters === undefined
        ? {}
        : { libraryParameters: `${this.libraryParameters}\0` }
    this.#generation++
    try {
      // Without locking by the operating system, some modules corrupt their memory when threads sign.
      this.native.C_Initialize({ flags: CKF_OS_LOCKING_OK, ...parameters })
    } catch (error) {
      if (returnValueOf(error) !== CKR_CRYPTOKI_ALREADY_INITIALIZED)
        throw moduleFailure(error, 'Initialising the module')
    }
  }
}
