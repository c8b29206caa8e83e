import { open } from 'node:fs/promises'
import { UsageError } from './usage-error.ts'

const longest = 4096

/**
 * Reads a secret from a file, or from a pipe such as `/dev/stdin`, without the line feed at its end.
 *
 * @throws {@link UsageError} when it cannot be read, is empty or too long, or when others than its owner
 *   can read it and that is not allowed.
 */
export async function readSecretFile(path: string, what: string, shared: boolean): Promise<string> {
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`The file of the ${what}, ${path}, cannot be read: ${error.code}`)
  })
  try {
    const stats = await file.stat()
    // A pipe has no mode that says who reads from it.
    if (!shared && stats.isFile() && process.platform !== 'win32' && (stats.mode & 0o077) !== 0) {
      const mode = (stats.mode & 0o777).toString(8).padStart(4, '0')
      throw new UsageError(
        `The file of the ${what}, ${path}, has the mode ${mode}; only its owner may have access: run "chmod 600 ${path}", or give --allow-shared-files where the system keeps others away from it`,
      )
    }
    const { buffer, bytesRead } = await readAtMost(file, longest + 1)
    const secret = buffer.toString('utf8', 0, bytesRead).replace(/\r?\n$/, '')
    if (bytesRead > longest)
      throw new UsageError(`The file of the ${what}, ${path}, is longer than ${longest} octets`)
    if (secret === '') throw new UsageError(`The file of the ${what}, ${path}, is empty`)
    return secret
  } finally {
    await file.close()
  }
}

/** A pipe hands over its content in pieces. */
async function readAtMost(
  file: Awaited<ReturnType<typeof open>>,
  most: number,
): Promise<{ buffer: Buffer; bytesRead: number }> {
  const buffer = Buffer.alloc(most)
  let bytesRead = 0
  while (bytesRead < most) {
    const piece = await file.read(buffer, bytesRead, most - bytesRead, null)
    if (piece.bytesRead === 0) break
    bytesRead += piece.bytesRead
  }
  return { buffer, bytesRead }
}
