import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { SignerErrorCode } from '@countersign/core'
import { failure, refused } from './error.ts'

/** A file with a secret, and how errors describe it. */
export interface SecretFile {
  readonly path: string
  /** The file, at the start of a sentence: `The key file`. */
  readonly what: string
  /** The code of the error when the file does not exist. */
  readonly absent: SignerErrorCode
  readonly maxOctets: number
}

// Opening a pipe would block until another process writes to it. Windows has no such flag.
const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)

/**
 * Reads a file with a secret.
 *
 * The file is checked after it was opened, so that the file that is read is the one that was checked. As for ssh, only
 * its owner may have access, unless `allowShared` is set. The access control lists of Windows are not checked.
 */
export async function readSecretFile(file: SecretFile, allowShared: boolean): Promise<Buffer> {
  let handle: FileHandle | undefined
  try {
    handle = await open(file.path, flags)
    return await readChecked(handle, file, allowShared)
  } catch (error) {
    throw describeError(error, file)
  } finally {
    await handle?.close()
  }
}

async function readChecked(
  handle: FileHandle,
  { path, what, maxOctets }: SecretFile,
  allowShared: boolean,
): Promise<Buffer> {
  const status = await handle.stat()
  const shown = JSON.stringify(path)
  if (!status.isFile()) throw refused(`${what} ${shown} is not a regular file`)
  if (!allowShared && process.platform !== 'win32' && (status.mode & 0o077) !== 0) {
    const mode = (status.mode & 0o777).toString(8).padStart(4, '0')
    throw refused(
      `${what} ${shown} is accessible to users other than its owner (its mode is ${mode}); run chmod 600 ${shown}, or set "allowSharedFiles" where nobody else can reach it`,
    )
  }
  const octets = Buffer.alloc(maxOctets + 1)
  let length = 0
  while (length <= maxOctets) {
    const { bytesRead } = await handle.read(octets, length)
    if (bytesRead === 0) return octets.subarray(0, length)
    length += bytesRead
  }
  throw refused(`${what} ${shown} has more than ${maxOctets} octets, the most that is read`)
}

const absences: ReadonlySet<unknown> = new Set(['ENOENT', 'ENOTDIR'])
const denials: ReadonlySet<unknown> = new Set(['EACCES', 'EPERM'])

function describeError(error: unknown, { path, what, absent }: SecretFile): unknown {
  const { code } = error as { readonly code?: unknown }
  const shown = JSON.stringify(path)
  if (absences.has(code)) return failure(absent, `${what} ${shown} does not exist`, error)
  if (denials.has(code)) {
    return failure(
      'ERR_SIGNER_ACCESS_DENIED',
      `${what} ${shown} may not be read by this process; run it as the owner of the file`,
      error,
    )
  }
  if (typeof code !== 'string' || code.startsWith('ERR_')) return error
  return failure(
    'ERR_SIGNER_UNAVAILABLE',
    `${what} ${shown} cannot be read; the cause says why`,
    error,
  )
}
