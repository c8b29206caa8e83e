import { link, lstat, mkdir, realpath, rename, rm, stat } from 'node:fs/promises'
import { connect, type Server } from 'node:net'
import { dirname } from 'node:path'

/** A socket, or its folder, that is refused. The message says what to change. */
export class SocketError extends Error {
  readonly code: string = 'ERR_AGENT_SOCKET'

  static {
    Object.defineProperty(SocketError.prototype, 'name', { value: 'SocketError' })
  }
}

/** Options of {@link listenOnSocket}. */
export interface ListenOptions {
  /** Describes the process that listens already, such as `the agent with the process ID 42`. */
  readonly describeHolder?: ((path: string) => Promise<string>) | undefined
}

/** Linux takes 107 octets, macOS 103. */
const longestPath = 103

/**
 * Listens on a Unix socket that only this user can reach.
 *
 * The folder is made with the mode 0700 if it is missing. The socket has the mode 0600. A socket that no process listens
 * on any more, such as that of a killed process, is replaced; of several processes that try, one succeeds.
 *
 * @param server - a server that does not listen yet.
 * @param path - absolute path of the socket.
 * @throws {@link SocketError} that says what to change: the folder or the socket belongs to another user, is a symbolic link, or is
 *   open to other users, or a process listens there already.
 *
 * @see [unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html)
 */
export async function listenOnSocket(
  server: Server,
  path: string,
  { describeHolder = async () => 'another process' }: ListenOptions = {},
): Promise<void> {
  if (Buffer.byteLength(path) > longestPath) {
    throw new SocketError(
      `The socket ${show(path)} has more than ${longestPath} octets; choose a shorter path`,
    )
  }
  await requireSocketFolder(dirname(path))
  for (let attempt = 0; attempt < mostAttempts; attempt++) {
    if (await removeDeadSocket(path)) {
      try {
        await bind(server, path)
      } catch (error) {
        // Another process was faster. The next attempt says which one.
        if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') continue
        throw error
      }
      try {
        await requireOwnSocket(path)
      } catch (error) {
        server.close()
        throw error
      }
      return
    }
    if (await isLive(path)) {
      throw new SocketError(
        `${await describeHolder(path)} listens on ${show(path)} already; stop it, or choose another socket`,
      )
    }
  }
  throw new SocketError(
    `The socket ${show(path)} was replaced again and again; check which programs use it`,
  )
}

const mostAttempts = 10

/**
 * Makes the folder of a socket if it is missing, and refuses one that another user could use.
 *
 * @throws {@link SocketError} when the folder belongs to another user, is a symbolic link, or is open to other users, or when a folder
 *   above it lets other users replace it.
 */
export async function requireSocketFolder(folder: string): Promise<void> {
  const own = process.getuid?.()
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const status = await lstat(folder)
  const name = `The folder ${show(folder)} of the socket`
  if (status.isSymbolicLink())
    throw new SocketError(`${name} is a symbolic link; name the folder itself`)
  if (!status.isDirectory()) throw new SocketError(`${name} is not a folder`)
  if (own === undefined) return
  if (status.uid !== own)
    throw new SocketError(`${name} belongs to another user; choose one of your own`)
  if ((status.mode & 0o077) !== 0) {
    throw new SocketError(`${name} is open to other users; run chmod 700 ${show(folder)}`)
  }
  for (let at = dirname(await realpath(folder)); ; at = dirname(at)) {
    const { mode, uid } = await stat(at)
    const isSticky = (mode & 0o1000) !== 0
    if ((uid !== own && uid !== 0) || ((mode & 0o022) !== 0 && !isSticky)) {
      throw new SocketError(
        `${name} is below ${show(at)}, where other users can replace it; choose another folder`,
      )
    }
    if (dirname(at) === at) return
  }
}

/** Refuses a socket that other users made or can connect to. */
export async function requireOwnSocket(path: string): Promise<void> {
  const { uid, mode } = await socketStatus(path)
  const own = process.getuid?.()
  if (own === undefined) return
  if (uid !== own)
    throw new SocketError(`The socket ${show(path)} belongs to another user; choose another path`)
  if ((mode & 0o077) !== 0) {
    throw new SocketError(
      `The socket ${show(path)} is open to other users; remove it, or choose another path`,
    )
  }
}

async function socketStatus(path: string) {
  const status = await lstat(path)
  if (status.isSocket()) return status
  const what = status.isSymbolicLink() ? 'a symbolic link' : 'not a socket'
  throw new SocketError(`${show(path)} is ${what}; remove it, or choose another path`)
}

/**
 * Removes a socket on which no process listens.
 *
 * It is moved aside first: if another process has replaced it in the meantime, the live socket of that process is put
 * back.
 *
 * @returns whether the path is free.
 */
async function removeDeadSocket(path: string): Promise<boolean> {
  const checked = await lstat(path).catch(ignoreMissing)
  if (checked === undefined) return true
  await requireOwnSocket(path)
  if (await isLive(path)) return false
  const aside = `${path}.${process.pid}`
  await rename(path, aside).catch(ignoreMissing)
  const moved = await lstat(aside).catch(ignoreMissing)
  if (moved === undefined) return true
  const isSame = moved.ino === checked.ino && moved.ctimeMs >= checked.ctimeMs
  if (!isSame || (await isLive(aside))) {
    await link(aside, path).catch(ignoreExisting)
    await rm(aside, { force: true })
    return false
  }
  await rm(aside, { force: true })
  return true
}

/** Whether a process accepts connections on a socket. */
function isLive(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    // A stopped process still has its socket.
    const timer = setTimeout(() => end(true), 2000)
    const end = (live: boolean) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(live)
    }
    socket.once('connect', () => end(true))
    socket.once('error', (error: NodeJS.ErrnoException) => {
      const isDead = error.code === 'ECONNREFUSED' || error.code === 'ENOENT'
      if (isDead || error.code === 'EAGAIN') end(!isDead)
      else {
        clearTimeout(timer)
        reject(error)
      }
    })
  })
}

/** Listens; the path must not exist. The socket has its mode from the start, since it is made under this mask. */
function bind(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    const mask = process.umask(0o177)
    try {
      server.listen({ path, backlog: 1024 }, () => {
        server.off('error', reject)
        resolve()
      })
    } finally {
      process.umask(mask)
    }
  })
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error
}

const show = (path: string): string => JSON.stringify(path)
