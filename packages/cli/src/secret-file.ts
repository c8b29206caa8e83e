import { open } from 'node:fs/promises'
import { UsageError } from './usage-error.ts'

const longest = 4096

/**
 * Reads a secret from a file, a pipe, or with `-` from standard input, without the line feed at its end.
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
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`${name} cannot be read: ${error.code}`)
  })
  try {
    const stats = await file.stat()
    // A pipe has no mode that says who reads from it.
    if (!shared && stats.isFile() && process.platform !== 'win32' && (stats.mode & 0o077) !== 0) {
      const mode = (stats.mode & 0o777).toString(8).padStart(4, '0')
      throw new UsageError(
        `${name} has the mode ${mode}; only its owner may have access: run "chmod 600 ${path}", or give --allow-shared-files where the system keeps others away from it`,
      )
    }
    if (stats.isDirectory()) throw new UsageError(`${name} is a directory`)
    return await readAtMost(file.createReadStream({ autoClose: false }))
  } finally {
    await file.close()
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
