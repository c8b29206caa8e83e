import { closeSync, constants, createReadStream, fstatSync, openSync, type Stats } from 'node:fs'
import { Socket } from 'node:net'
import { UsageError } from './errors.ts'

const longest = 4096

// A thread that waits for the writer of a pipe would keep the process from ending. Windows has no such flag.
const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)

/**
 * Reads a secret from a file, a named pipe, or with `-` from standard input, without the line feed at its end.
 *
 * @throws {@link UsageError} when it cannot be read, is empty or too long, or when others than its owner
 *   can read it and that is not allowed.
 */
export async function readSecretFile(path: string, what: string, shared: boolean): Promise<string> {
  const name = `The file of the ${what}, ${path},`
  const octets = path === '-' ? await readAtMost(process.stdin) : await readFile(path, name, shared)
  const secret = octets.toString('utf8').replace(/\r?\n$/, '')
  if (octets.length > longest) throw new UsageError(`${name} is longer than ${longest} octets`)
  if (secret === '') throw new UsageError(`${name} is empty`)
  return secret
}

async function readFile(path: string, name: string, shared: boolean): Promise<Buffer> {
  const fd = open(path, name)
  const stats = fstatSync(fd)
  const refused = refusal(path, name, stats, shared)
  if (refused !== undefined) {
    closeSync(fd)
    throw refused
  }
  // Either closes it.
  return readAtMost(
    stats.isFIFO() ? new Socket({ fd, writable: false }) : createReadStream('', { fd }),
  )
}

function refusal(
  path: string,
  name: string,
  stats: Stats,
  shared: boolean,
): UsageError | undefined {
  // A pipe has no mode that says who reads from it.
  if (stats.isFIFO()) return undefined
  if (!stats.isFile()) return new UsageError(`${name} is neither a file nor a pipe`)
  if (shared || process.platform === 'win32' || (stats.mode & 0o077) === 0) return undefined
  const mode = (stats.mode & 0o777).toString(8).padStart(4, '0')
  return new UsageError(
    `${name} has the mode ${mode}; only its owner may have access: run "chmod 600 ${path}", or give --allow-shared-files where the system keeps others away from it`,
  )
}

function open(path: string, name: string): number {
  try {
    return openSync(path, flags)
  } catch (error) {
    throw new UsageError(`${name} cannot be read: ${(error as NodeJS.ErrnoException).code}`)
  }
}

/** One octet more than may be, to tell that there are more. */
async function readAtMost(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of stream) {
    chunks.push(chunk)
    length += chunk.length
    if (length > longest) break
  }
  return Buffer.concat(chunks)
}
