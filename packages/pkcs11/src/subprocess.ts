import { type ChildProcess, fork } from 'node:child_process'
import type { SignRequest } from '@countersign/core'
import type { Mechanism } from './algorithms.ts'
import type { BoundKey, KeyDescription } from './key.ts'
import { type Answer, batch, type NumberedRequest, type Request, unpackError } from './messages.ts'
import type { KeySelector, TokenLocation, TokenSelector } from './options.ts'
import type { Login, TokenIdentity } from './token.ts'

/** The caller of a signature: whether they aborted. */
export type Caller = Pick<SignRequest, 'aborted' | 'signal'>

/** A token, in this process or in a subprocess. */
export interface TokenPort {
  /** Finds a token; loads the module first, if necessary. */
  identify(selector: TokenSelector): Promise<TokenIdentity>
  /** Opens the token and logs in. Called once. Returns whether the token accepted the PIN. */
  open(login: Login | undefined): Promise<boolean>
  describeKey(selector: KeySelector): Promise<KeyDescription>
  /**
   * Makes a signature. The promise settles when the token has answered, or when its process has ended. The request of a
   * caller who aborted leaves the queue, and keeps no process alive.
   */
  sign(key: BoundKey, mechanism: Mechanism, data: Uint8Array, caller: Caller): Promise<Uint8Array>
  /** Closes the token, after the running calls. */
  close(): Promise<void>
  /** Ends the process at once; running calls reject with {@link ProcessLost}. In this process, closes the token. */
  kill(): void
  /** Whether it was closed or has ended. */
  readonly gone: boolean
}

/** The process of the module ended during a call. */
export class ProcessLost extends Error {
  /** `hung`: it did not answer, so the parent ended it. `unstarted`: it ended before its first answer. */
  readonly how: 'hung' | 'unstarted' | 'ended'

  constructor(how: ProcessLost['how'], message = '') {
    super(message)
    this.how = how
  }
}

interface Pending {
  resolve(value: unknown): void
  reject(error: unknown): void
  /** Whether the caller still waits. */
  wanted: boolean
}

const secondsToClose = 1

/**
 * A token whose module runs in a subprocess.
 *
 * @param timeoutSeconds - the subprocess is ended if it does not answer for so long.
 */
export function isolatedToken(location: TokenLocation, timeoutSeconds: () => number): TokenPort {
  const child = startChild(location)
  const pending = new Map<number, Pending>()
  let nextId = 1
  let wanted = 0
  let gone: ProcessLost | undefined
  let silentSince = 0
  let hasAnswered = false
  let watching = false

  /** Only a call whose caller waits keeps this process alive. */
  function keepAlive(): void {
    const act = wanted > 0 ? 'ref' : 'unref'
    child[act]()
    // In Bun the channel does not have these methods.
    child.channel?.[act]?.()
  }

  function forget(call: Pending): void {
    if (!call.wanted) return
    call.wanted = false
    wanted--
    if (wanted === 0) keepAlive()
  }

  function lose(lost: ProcessLost): void {
    gone ??= lost
    for (const call of pending.values()) {
      forget(call)
      call.reject(gone)
    }
    pending.clear()
  }

  function kill(lost: ProcessLost): void {
    child.kill('SIGKILL')
    lose(lost)
  }

  /** Starts one timer for all calls, since a busy token answers one after another. */
  function watch(): void {
    if (watching) return
    watching = true
    const milliseconds = silentSince + timeoutSeconds() * 1000 - performance.now()
    // After the answers that have arrived meanwhile: this process may have been busy.
    setTimeout(() => setImmediate(look), Math.max(0, milliseconds)).unref()
  }

  function look(): void {
    watching = false
    if (pending.size === 0) return
    if (performance.now() - silentSince < timeoutSeconds() * 1000) watch()
    else kill(new ProcessLost('hung'))
  }

  function receive(answer: Answer): void {
    const call = pending.get(answer.id)
    if (call === undefined) return
    pending.delete(answer.id)
    forget(call)
    if ('error' in answer) call.reject(unpackError(answer.error))
    else call.resolve(answer.value)
  }

  child.on('message', (answers: readonly Answer[]) => {
    silentSince = performance.now()
    hasAnswered = true
    for (const answer of answers) receive(answer)
  })
  child.on('error', ({ message }) => lose(new ProcessLost('unstarted', message)))
  child.on('exit', (code, signal) => {
    const how = signal === null && !hasAnswered ? 'unstarted' : 'ended'
    lose(new ProcessLost(how, signal ?? `exit code ${code}`))
  })
  keepAlive()

  const post = batch<NumberedRequest>((requests) => {
    // A message cannot be sent when the child has ended, and then its exit event rejects the calls.
    child.send?.(requests, ignore)
  })

  function call(request: Request, signal?: AbortSignal): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (gone !== undefined) {
        reject(gone)
        return
      }
      const id = nextId++
      const entry: Pending = { resolve, reject, wanted: true }
      if (pending.size === 0) silentSince = performance.now()
      pending.set(id, entry)
      wanted++
      if (wanted === 1) keepAlive()
      watch()
      post({ ...request, id })
      const onAbort = () => {
        if (!pending.has(id)) return
        forget(entry)
        post({ op: 'forget', id })
      }
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  return {
    identify: (token) => call({ op: 'identify', location, token }) as Promise<TokenIdentity>,
    open: (login) => call({ op: 'open', login }) as Promise<boolean>,
    describeKey: (selector) => call({ op: 'describeKey', selector }) as Promise<KeyDescription>,
    async sign(key, mechanism, { buffer, byteOffset, byteLength }, { signal }) {
      const data = Buffer.from(buffer, byteOffset, byteLength).toString('base64')
      const signature = await call({ op: 'sign', key, mechanism, data }, signal)
      return Buffer.from(String(signature), 'base64')
    },
    async close() {
      const timer = setTimeout(() => child.kill('SIGKILL'), secondsToClose * 1000)
      await call({ op: 'close' }).catch(ignore)
      clearTimeout(timer)
      gone ??= new ProcessLost('ended')
    },
    kill: () => kill(new ProcessLost('ended')),
    get gone() {
      return gone !== undefined
    },
  }
}

function startChild({ sessions, env }: TokenLocation): ChildProcess {
  return fork(new URL('./child.js', import.meta.url), [], {
    // The module must not write to the output of this process.
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    execArgv: [],
    env: {
      ...moduleEnvironment(process.env, env),
      // One thread for each session, since a signature blocks its thread.
      UV_THREADPOOL_SIZE: String(Math.max(4, sessions)),
    },
    serialization: 'json',
  })
}

/** Variables that a module, its libraries and the C library read; `*` stands for the rest of a name. */
const usual = [
  ...['PATH', 'HOME', 'USER', 'LOGNAME', 'TMPDIR', 'TMP', 'TEMP', 'TZ', 'LANG', 'LC_*', 'XDG_*'],
  ...['LD_LIBRARY_PATH', 'DYLD_LIBRARY_PATH', 'DYLD_FALLBACK_LIBRARY_PATH'],
  ...['OPENSSL_CONF', 'OPENSSL_MODULES', 'OPENSSL_ENGINES', 'SSL_CERT_FILE', 'SSL_CERT_DIR'],
  ...['SystemRoot', 'SystemDrive', 'windir', 'ComSpec', 'PATHEXT', 'USERPROFILE', 'APPDATA'],
  ...['LOCALAPPDATA', 'ProgramData', 'ProgramFiles*', 'CommonProgramFiles*'],
  // Thales Luna, Entrust nShield, ProtectServer, OpenSC, PC/SC, TPM 2.0, NSS, wolfPKCS11, Kryoptic, Parsec
  ...['ChrystokiConfigurationPath', 'NFAST_*', 'CKNFAST_*', 'ET_PTKC_*', 'OPENSC_*', 'PCSCLITE_*'],
  ...['TSS2_*', 'NSS_*', 'WOLFPKCS11_TOKEN_PATH', 'KRYOPTIC_CONF', 'PARSEC_SERVICE_ENDPOINT'],
]

/** Variables with these names are for modules, such as SOFTHSM2_CONF and P11_KIT_SERVER_ADDRESS, ... */
const forModules = /pkcs11|p11|hsm|cryptoki|tpm2/i
/** ... unless they look like a secret, such as HSM_PASSWORD. */
const secret = /pin|pass|pwd|secret|token|key|cred|auth/i

/** The subprocess knows the PIN, so it must not load the parent's instrumentation. */
const never = /^(?:node|bun)_options$/i

/**
 * The part of an environment that the subprocess gets: what modules usually need, without the application's secrets.
 *
 * @param more - additional names; `*` at the end stands for the rest of a name.
 */
function moduleEnvironment(
  environment: NodeJS.ProcessEnv,
  more: readonly string[],
): NodeJS.ProcessEnv {
  const patterns = [...usual, ...more].map((name) => name.toLowerCase())
  const isNamed = (name: string) =>
    patterns.some((pattern) =>
      pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern,
    )
  return Object.fromEntries(
    Object.entries(environment).filter(
      ([name]) =>
        !never.test(name) &&
        (isNamed(name.toLowerCase()) || (forModules.test(name) && !secret.test(name))),
    ),
  )
}

function ignore(): void {}
