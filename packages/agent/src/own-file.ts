import { constants } from 'node:fs'
import { open } from 'node:fs/promises'

/** A file that is read only if other users cannot do certain things with it. */
export interface OwnFile {
  readonly path: string
  /** The file, at the start of a sentence: `The configuration`. */
  readonly what: string
  /** The bits that its mode must not have: `0o022` when others may read it, `0o077` when they may not. */
  readonly forbidden: number
  readonly maxOctets: number
}

/**
 * Reads a text file of this user or of root. The file is checked after it was opened, so that the file that is read is
 * the one that was checked.
 *
 * @throws `Error` that says what to change.
 */
export async function readOwnFile({ path, what, forbidden, maxOctets }: OwnFile): Promise<string> {
  const name = `${what} ${JSON.stringify(path)}`
  // Opening a pipe would block until another process writes to it.
  const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)
  const handle = await open(path, flags).catch(({ code }: NodeJS.ErrnoException) => {
    throw new Error(`${name} cannot be read (${code})`)
  })
  try {
    const status = await handle.stat()
    if (!status.isFile()) throw new Error(`${name} is not a regular file`)
    if (status.size > maxOctets) throw new Error(`${name} has more than ${maxOctets} octets`)
    const own = process.getuid?.()
    if (own !== undefined && status.uid !== own && status.uid !== 0) {
      throw new Error(`${name} belongs to another user`)
    }
    if (own !== undefined && (status.mode & forbidden) !== 0) {
      const mode = (status.mode & 0o777).toString(8).padStart(4, '0')
      const advice = forbidden === 0o022 ? 'chmod go-w' : 'chmod 600'
      throw new Error(
        `${name} is open to other users (its mode is ${mode}); run ${advice} ${JSON.stringify(path)}`,
      )
    }
    return await handle.readFile('utf8')
  } finally {
    await handle.close()
  }
}
