import { close, constants, createReadStream, fstat, open, type Stats } from 'node:fs'
import { Socket } from 'node:net'
import { promisify } from 'node:util'
import type { SignerErrorCode } from '@countersign/core'
import { failure, refused } from './error.ts'

/** A file with a secret, which users other than its owner must not have access to. */
export interface SecretFile {
  readonly path: string
  /** What the secret is, for errors. */
  readonly secret: 'key' | 'PIN' | 'passphrase' | 'proxy secret'
  /** The code of the error when the file does not exist. */
  readonly absent: SignerErrorCode
  readonly maxOctets: number
  /** Accepts a file that other users have access to. */
  readonly allowShared: boolean
  /** Also accepts a named pipe, and `-` for standard input; `false` by default. */
  readonly allowStreams?: boolean
}

// Opening a pipe would block until another process writes to it. Windows has no such flag.
const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)

const [openFile, statusOf, closeFile] = [promisify(open), promisify(fstat), promisify(close)]

/**
 * Reads a file with a secret.
 *
 * The file is checked after it was opened, so that the file that is read is the one that was checked. The rule is that of
 * ssh: only the owner may have access, unless `allowShared` is set. The access control lists of Windows are not checked.
 *
 * @throws `SignerError` that says why the file is refused or cannot be read, without what is in it.
 */
export async function readSecretFile(file: SecretFile): Promise<Buffer> {
  try {
    return await readAtMost(await openChecked(file), file)
  } catch (error) {
    throw describeError(error, file)
  }
}

/** Reads a secret in UTF-8, without the line end after it; see {@link readSecretFile}. An empty secret is refused. */
export async function readSecretText(file: SecretFile): Promise<string> {
  const octets = await readSecretFile(file)
  const text = decodeUtf8(octets, file).replace(/\r?\n$/, '')
  if (text !== '') return text
  throw refused(`${nameOf(file)} is empty; write the ${file.secret} into it`)
}

const nameOf = ({ path, secret, allowStreams }: SecretFile): string =>
  allowStreams && path === '-'
    ? `The ${secret} file on standard input`
    : `The ${secret} file ${JSON.stringify(path)}`

/** A stream that closes the file. */
async function openChecked(file: SecretFile): Promise<AsyncIterable<Buffer>> {
  const { path, allowStreams } = file
  if (allowStreams && path === '-') return process.stdin
  const fd = await openFile(path, flags)
  try {
    const status = await statusOf(fd)
    requireSecret(status, file)
    // A thread that waits for the writer of a pipe would keep the process from ending; a socket does not.
    return status.isFIFO() ? new Socket({ fd, writable: false }) : createReadStream('', { fd })
  } catch (error) {
    await closeFile(fd)
    throw error
  }
}

function requireSecret(status: Stats, file: SecretFile): void {
  const { path, allowShared, allowStreams = false } = file
  // The mode of a pipe does not tell who else has the secret.
  if (allowStreams && status.isFIFO()) return
  if (!status.isFile()) {
    throw refused(`${nameOf(file)} is not a regular file${allowStreams ? ' or a named pipe' : ''}`)
  }
  if (allowShared || process.platform === 'win32' || (status.mode & 0o077) === 0) return
  const mode = (status.mode & 0o777).toString(8).padStart(4, '0')
  throw refused(
    `${nameOf(file)} is accessible to users other than its owner (its mode is ${mode}); run chmod 600 ${JSON.stringify(path)}, or set "allowSharedFiles" where nobody else can reach it`,
  )
}

async function readAtMost(stream: AsyncIterable<Buffer>, file: SecretFile): Promise<Buffer> {
  const { maxOctets } = file
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of stream) {
    chunks.push(chunk)
    length += chunk.length
    if (length > maxOctets) {
      throw refused(`${nameOf(file)} has more than ${maxOctets} octets, the most that is read`)
    }
  }
  return Buffer.concat(chunks)
}

function decodeUtf8(octets: Buffer, file: SecretFile): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(octets)
  } catch {
    // The cause is left out, because it may quote what it could not read.
    throw refused(`${nameOf(file)} is not text in UTF-8`)
  }
}

const absences: ReadonlySet<unknown> = new Set(['ENOENT', 'ENOTDIR'])
const denials: ReadonlySet<unknown> = new Set(['EACCES', 'EPERM'])

/** Describes an error of the operating system; returns any other error as it is. */
function describeError(error: unknown, file: SecretFile): unknown {
  const { code } = error as { readonly code?: unknown }
  const name = nameOf(file)
  if (absences.has(code)) return failure(file.absent, `${name} does not exist`, error)
  if (denials.has(code)) {
    return failure(
      'ERR_SIGNER_ACCESS_DENIED',
      `${name} may not be read by this process; run it as the owner of the file`,
      error,
    )
  }
  if (typeof code !== 'string' || code.startsWith('ERR_')) return error
  return failure(
    'ERR_SIGNER_UNAVAILABLE',
    `${name} cannot be read (${code}); check the file system that it is on`,
    error,
  )
}
