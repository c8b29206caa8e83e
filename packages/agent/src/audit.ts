import { createHash } from 'node:crypto'
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import type { RotatingSigner, Signer } from '@countersign/core'
import { type AuditConfiguration, ConfigurationError } from './configuration.ts'
import { RequestRefused } from './problem.ts'

/** One line of the audit log. Nothing in it is secret. */
export interface AuditRecord {
  readonly client: string
  /** A signature that was made, or a token or a DPoP proof that a caller was given. */
  readonly event: 'signature' | 'token' | 'proof'
  readonly outcome: 'ok' | 'failed'
  readonly kid?: string | undefined
  /** The `aud` of a signature, or the resource of a token or a proof. */
  readonly audience?: string | undefined
  /** SHA-256 of the `jti` of an assertion, base64url. */
  readonly jti_sha256?: string | undefined
  /** Code of the error, when the outcome is `failed`. */
  readonly code?: string | undefined
}

/** Writes the audit log, if there is one. */
export interface Audit {
  /** Writes a line. When it cannot, it throws `ERR_AGENT_AUDIT`, or only reports that, as configured. */
  record(entry: AuditRecord): void
  /** Opens the file of another configuration, or the same file again. The file in use stays if that fails. */
  configure(settings: AuditConfiguration | undefined): void
  /** Why the last line could not be written. */
  readonly error: string | undefined
  close(): void
}

interface OpenFile {
  readonly settings: AuditConfiguration
  fd: number
  size: number
}

/**
 * Makes the audit log, which is off until it is configured. Lines are written synchronously, so that no signature and no
 * token leaves the agent before its line is in the file.
 *
 * @param report - is told when lines cannot be written, and when they can be written again.
 */
export function auditLog(report: (message: string) => void, now: () => number = Date.now): Audit {
  let file: OpenFile | undefined
  let error: string | undefined

  function write({ settings, ...state }: OpenFile, line: Buffer): void {
    const { maxBytes = 10_485_760 } = settings
    let { fd, size } = state
    if (size > 0 && size + line.length > maxBytes) {
      fd = rotate(settings, fd)
      size = 0
      file = { settings, fd, size }
    }
    // After a line that was cut, the next one starts on a line of its own.
    const octets = error !== undefined && size > 0 ? Buffer.concat([newline, line]) : line
    const written = writeSync(fd, octets)
    file = { settings, fd, size: size + written }
    if (written < octets.length) throw Object.assign(new Error(), { code: 'ENOSPC' })
  }

  return {
    record(entry) {
      if (file === undefined) return
      const { path, onFull = 'refuse' } = file.settings
      const line = { time: new Date(now()).toISOString(), ...entry }
      try {
        write(file, Buffer.from(`${JSON.stringify(line)}\n`))
        if (error !== undefined) report(`The audit log ${JSON.stringify(path)} is written again`)
        error = undefined
      } catch (cause) {
        const { code } = cause as NodeJS.ErrnoException
        const message = `The audit log ${JSON.stringify(path)} cannot be written (${code}); make space, or correct its folder`
        if (error === undefined) report(message)
        error = message
        if (onFull === 'refuse') throw new RequestRefused(503, 'ERR_AGENT_AUDIT', message)
      }
    },
    configure(settings) {
      const before = file
      file = settings && openFile(settings)
      if (before !== undefined) closeSync(before.fd)
      error = undefined
    },
    get error() {
      return error
    },
    close() {
      if (file !== undefined) closeSync(file.fd)
      file = undefined
    },
  }
}

const newline = Buffer.from('\n')

const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants

/** Opens a regular file of this user that nobody else can access, and no symbolic link. */
function openFile(settings: AuditConfiguration): OpenFile {
  const { path } = settings
  const shown = JSON.stringify(path)
  let fd: number
  try {
    fd = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const why = code === 'ELOOP' ? 'is a symbolic link' : `cannot be opened (${code})`
    throw new ConfigurationError(`The audit log ${shown} ${why}; name another file`)
  }
  const status = fstatSync(fd)
  const own = process.getuid?.()
  const isOwn = own === undefined || (status.uid === own && (status.mode & 0o077) === 0)
  if (status.isFile() && isOwn) return { settings, fd, size: status.size }
  closeSync(fd)
  throw new ConfigurationError(
    `The audit log ${shown} must be a regular file of this user with the mode 0600; run chmod 600 ${shown}, or name another file`,
  )
}

/**
 * Opens a new file, moves each file to the next number, and drops the oldest. Nothing is moved unless the new file could
 * be opened, so that a full disk does not cost the older files.
 */
function rotate(settings: AuditConfiguration, fd: number): number {
  const { path, keep = 5 } = settings
  const fresh = `${path}.new`
  rmSync(fresh, { force: true })
  const opened = openFile({ ...settings, path: fresh })
  rmSync(`${path}.${keep}`, { force: true })
  const names = Array.from({ length: keep }, (_, i) => (i === 0 ? path : `${path}.${i}`))
  for (const [i, name] of [...names.entries()].reverse()) {
    if (existsSync(name)) renameSync(name, `${path}.${i + 1}`)
  }
  renameSync(fresh, path)
  closeSync(fd)
  return opened.fd
}

/** A view of a key that writes a line to the audit log for each signature, before it returns the signature. */
export function auditedSource(
  source: RotatingSigner,
  client: string,
  audit: Audit,
): RotatingSigner {
  // The same object for each use: the encoded header is cached with it.
  const views = new WeakMap<Signer, Signer>()

  function viewOf(signer: Signer): Signer {
    const known = views.get(signer)
    if (known !== undefined) return known
    const view = Object.freeze<Signer>({
      ...signer,
      async sign(signingInput, options) {
        const about = {
          client,
          event: 'signature',
          kid: signer.kid,
          ...claimsOf(signingInput),
        } as const
        let signature: Uint8Array
        try {
          signature = await signer.sign(signingInput, options)
        } catch (error) {
          const { code } = error as { readonly code?: unknown }
          audit.record({
            ...about,
            outcome: 'failed',
            code: typeof code === 'string' ? code : undefined,
          })
          throw error
        }
        audit.record({ ...about, outcome: 'ok' })
        return signature
      },
    })
    views.set(signer, view)
    return view
  }

  return Object.freeze<RotatingSigner>({
    get current() {
      return source.current && viewOf(source.current)
    },
    async ready(options) {
      await source.ready(options)
      return this
    },
    use: (action, options) => source.use((signer) => action(viewOf(signer)), options),
    replace: source.replace,
    reload: source.reload,
    close: source.close,
    [Symbol.asyncDispose]: source.close,
  })
}

/** Reads audience and `jti` from what is signed: the two encoded parts of a JWT. */
function claimsOf(signingInput: Uint8Array): Pick<AuditRecord, 'audience' | 'jti_sha256'> {
  const [, payload = ''] = Buffer.from(signingInput).toString('latin1').split('.')
  const { aud, jti } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as {
    readonly aud?: string
    readonly jti?: string
  }
  return {
    audience: aud,
    jti_sha256: jti && createHash('sha256').update(jti).digest('base64url'),
  }
}
