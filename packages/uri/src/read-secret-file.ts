import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import type { SignerError, SignerErrorCode } from '@countersign/core'
import { failure, refused } from './refusal.ts'

/** What a file is, and what it means that there is none. */
export interface SecretFile {
  readonly path: string
  /** For people, at the start of a sentence: `The key file`. */
  readonly what: string
  readonly absent: SignerErrorCode
  readonly mostOctets: number
}

// A pipe would hold the call until somebody writes; Windows has no such flag.
const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)

/**
 * Reads a file that has a secret.
 *
 * It is checked after it was opened, so that what is read is what was checked. As with ssh, nobody but its owner may
 * have access, unless that is allowed; Windows keeps access lists instead, which are not looked at.
 */
export async function readSecretFile(file: SecretFile, allowOthers: boolean): Promise<Buffer> {
  let handle: FileHandle | undefined
  try {
    handle = await open(file.path, flags)
    return await readChecked(handle, file, allowOthers)
  } catch (error) {
    throw describe(error, file)
  } finally {
    await handle?.close()
  }
}

async function readChecked(
  handle: FileHandle,
  { path, what, mostOctets }: SecretFile,
  allowOthers: boolean,
): Promise<Buffer> {
  const status = await handle.stat()
  const shown = JSON.stringify(path)
  if (!status.isFile()) throw refused(`${what} ${shown} is no ordinary file`)
  if (!allowOthers && process.platform !== 'win32' && (status.mode & 0o077) !== 0) {
    const mode = (status.mode & 0o777).toString(8).padStart(4, '0')
    throw refused(
      `${what} ${shown} is open to others than its owner (its mode is ${mode}); run chmod 600 ${shown}, or set "allowSharedFiles" where nobody else can reach it`,
    )
  }
  const octets = Buffer.alloc(mostOctets + 1)
  let length = 0
  while (length <= mostOctets) {
    const { bytesRead } = await handle.read(octets, length)
    if (bytesRead === 0) return octets.subarray(0, length)
    length += bytesRead
  }
  throw refused(`${what} ${shown} has more than ${mostOctets} octets, and cannot be what it should`)
}

const absences: ReadonlySet<unknown> = new Set(['ENOENT', 'ENOTDIR'])
const denials: ReadonlySet<unknown> = new Set(['EACCES', 'EPERM'])

function describe(error: unknown, { path, what, absent }: SecretFile): unknown {
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
  return typeof code === 'string' && !code.startsWith('ERR_')
    ? unreadable(what, shown, error)
    : error
}

function unreadable(what: string, shown: string, error: unknown): SignerError {
  return failure(
    'ERR_SIGNER_UNAVAILABLE',
    `${what} ${shown} cannot be read; the cause says why`,
    error,
  )
}
