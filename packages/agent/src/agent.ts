import { type FSWatcher, watch } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { basename, dirname } from 'node:path'
import { Deadline } from '@countersign/core/backend'
import type { Fetch } from '@countersign/oauth'
import { type KeyScheme, signerFromUri } from '@countersign/uri'
import { createAdaptorServer } from '@hono/node-server'
import { createApp } from './app.ts'
import { auditLog } from './audit.ts'
import { callAgent } from './client.ts'
import { type ClientSet, openClients, retireOthers } from './client-set.ts'
import { type AgentConfiguration, readConfiguration } from './configuration.ts'
import { keyPool, type OpenKey } from './key-pool.ts'
import { startMetrics } from './metrics.ts'
import type { ClientSurroundings } from './served-client.ts'
import { startSidecar } from './sidecar.ts'
import { listenOnSocket, requireOwnSocket, requireSocketFolder, SocketError } from './socket.ts'
import { agentSocketPath } from './socket-path.ts'

/** Options of {@link startAgent}. */
export interface AgentOptions {
  /** Path of the configuration file. */
  readonly config: string
  /** Absolute path of the socket; the default path when it is left out. */
  readonly socket?: string | undefined
  /** File descriptor of the socket, when systemd has made it at that path. */
  readonly descriptor?: number | undefined
  /** Opens the key of a URI; `signerFromUri` by default. It is called again when a key may have a new version. */
  readonly openKey?: OpenKey | undefined
  /** Schemes of key URIs besides the built-in ones. */
  readonly schemes?: readonly KeyScheme[] | undefined
  /** Is told what a person should know, such as a configuration that was refused. Nothing in it is secret. */
  readonly report?: ((message: string) => void) | undefined
  /** Sends the requests to authorization servers; the global `fetch` by default. */
  readonly fetch?: Fetch | undefined
  /** The clock, in milliseconds since the epoch; `Date.now` by default. */
  readonly now?: (() => number) | undefined
}

/** A running agent. */
export interface RunningAgent extends AsyncDisposable {
  /** Path of the socket. */
  readonly socket: string
  /** Names of the clients that it serves. */
  readonly clients: readonly string[]
  /** Reads the configuration again. A broken one is reported, and the one in use stays. */
  reload(): Promise<void>
  /** Stops listening, waits for the requests under way, and closes the keys. */
  close(): Promise<void>
}

/** How long requests under way may take to end when the agent closes. */
const graceSeconds = 10

/**
 * Opens the keys of a configuration, and serves its clients on a Unix socket.
 *
 * @param options - the configuration file, the socket, and how to open keys.
 * @returns the agent, which listens.
 * @throws `ConfigurationError` when the configuration is refused or a key cannot be opened; `SocketError` when the socket
 *   is refused or in use.
 *
 * @example
 * ```ts
 * import { startAgent } from '@countersign/agent/server'
 *
 * await using agent = await startAgent({ config: '/etc/countersign/agent.json' })
 * console.log(agent.socket)
 * ```
 *
 * @see [RFC 7523 §2.2](https://www.rfc-editor.org/rfc/rfc7523#section-2.2)
 */
export async function startAgent(options: AgentOptions): Promise<RunningAgent> {
  const { config, schemes, report = () => {}, fetch = globalThis.fetch, now = Date.now } = options
  const openKey: OpenKey =
    options.openKey ?? ((uri, { signal }) => signerFromUri(uri, { signal, schemes }))
  const metrics = startMetrics()
  const audit = auditLog(report, now)
  const surroundings: ClientSurroundings = {
    ...{ keys: keyPool(openKey), audit, fetch, now },
    onToken: metrics.token,
  }
  let clients: ClientSet = new Map()
  let configuration: AgentConfiguration | undefined
  let loadedAt = now()
  let error: string | undefined
  let sidecar: Server | undefined
  const retiring = new Set<Promise<unknown>>()

  async function load(): Promise<void> {
    const read = await readConfiguration(config, schemes)
    const next = await openClients(read, clients, surroundings)
    try {
      audit.configure(read.audit)
    } catch (cause) {
      await retireOthers(next, clients)
      throw cause
    }
    const retired = retireOthers(clients, next).finally(() => retiring.delete(retired))
    retiring.add(retired)
    clients = next
    if (configuration !== undefined && !isSame(configuration.sidecar, read.sidecar)) {
      report('The change of "sidecar" takes effect when the agent starts again')
    }
    configuration = read
    loadedAt = now()
  }

  async function reload(): Promise<void> {
    try {
      await load()
      if (error !== undefined) report(`The configuration ${config} is in use`)
      error = undefined
    } catch (cause) {
      error = (cause as Error).message
      report(`${error}; the configuration in use stays`)
    }
  }

  const health = () => ({
    status: error === undefined && audit.error === undefined ? 'ok' : 'degraded',
    pid: process.pid,
    configuration: { path: config, loaded_at: new Date(loadedAt).toISOString(), error },
    audit_error: audit.error,
  })
  const app = createApp({ clients: () => clients, health, metrics, report })
  const server = createAdaptorServer({
    fetch: app.fetch,
    createServer,
    // A caller that sends nothing, or slowly, must not use a connection for long.
    serverOptions: { headersTimeout: 10_000, requestTimeout: 15_000, keepAliveTimeout: 30_000 },
  }) as Server

  async function closeKeys(): Promise<void> {
    const all = clients
    clients = new Map()
    await retireOthers(all, clients)
    await Promise.allSettled(retiring)
    metrics.close()
    audit.close()
  }

  let socket: string
  // Before the file is read, so that no later change is missed.
  const identity = await identityOf(config)
  try {
    await load()
    if (configuration?.sidecar !== undefined) {
      sidecar = await startSidecar(configuration.sidecar, () => clients)
    }
    socket = await listen(server, options)
  } catch (cause) {
    sidecar?.close()
    await closeKeys()
    throw cause
  }
  const watching = watchFile(config, identity, serialised(reload))
  let closing: Promise<void> | undefined

  async function close(): Promise<void> {
    watching.close()
    await Promise.all([server, sidecar].map((one) => one && closeServer(one)))
    await closeKeys()
  }

  const closeOnce = () => {
    closing ??= close()
    return closing
  }
  return Object.freeze<RunningAgent>({
    socket,
    get clients() {
      return [...clients.keys()]
    },
    reload: watching.reload,
    close: closeOnce,
    [Symbol.asyncDispose]: closeOnce,
  })
}

const isSame = (one: unknown, other: unknown): boolean =>
  JSON.stringify(one) === JSON.stringify(other)

/** Listens on the socket; returns its path. */
async function listen(server: Server, { socket, descriptor }: AgentOptions): Promise<string> {
  const path = agentSocketPath(socket)
  if (descriptor === undefined) {
    await listenOnSocket(server, path, { describeHolder })
    return path
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ fd: descriptor }, resolve)
  })
  try {
    await requireSocketFolder(dirname(path))
    await requireOwnSocket(path).catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'ENOENT' ? notFromSystemd(path) : error
    })
    // Node.js does not tell the path of a socket that it did not make.
    if ((await pidOf(path).catch(() => 0)) !== process.pid) throw notFromSystemd(path)
  } catch (error) {
    server.close()
    throw error
  }
  return path
}

function notFromSystemd(path: string): SocketError {
  return new SocketError(
    `The socket of systemd is not ${JSON.stringify(path)}; set ListenStream to this path, or name the path of ListenStream with --socket`,
  )
}

/** Asks the agent that listens on a socket for its process ID. */
async function pidOf(path: string): Promise<number> {
  const { pid } = await callAgent<{ readonly pid: unknown }>(path, '/healthz', {
    timeoutSeconds: 2,
    member: 'pid',
  })
  return Number(pid)
}

/** Describes the process that listens on a socket. */
async function describeHolder(path: string): Promise<string> {
  try {
    return `The agent with the process ID ${await pidOf(path)}`
  } catch {
    return 'A process that is not a running agent'
  }
}

/** Runs an action one at a time. A call during a run makes it run once more. */
function serialised(action: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined
  let next: Promise<void> | undefined
  return () => {
    if (running === undefined) {
      running = action().finally(() => {
        running = undefined
      })
      return running
    }
    next ??= running.then(() => {
      next = undefined
      running = action().finally(() => {
        running = undefined
      })
      return running
    })
    return next
  }
}

const debounceMs = 100
const pollMs = 2000

/** Identifies the content of a file; the same for a missing file. */
async function identityOf(path: string): Promise<string> {
  const status = await stat(path, { bigint: true }).catch(() => undefined)
  return status === undefined ? '' : [status.ino, status.size, status.mtimeNs].join()
}

/** Reloads when the file changes. Some file systems send no events, so the file is also looked at every two seconds. */
function watchFile(path: string, loaded: string, load: () => Promise<void>) {
  let seen = loaded
  let timer: NodeJS.Timeout | undefined
  let watcher: FSWatcher | undefined

  async function look(): Promise<void> {
    const now = await identityOf(path)
    if (now === seen) return
    seen = now
    await load()
  }

  const soon = () => {
    clearTimeout(timer)
    timer = setTimeout(() => void look(), debounceMs)
    timer.unref()
  }
  try {
    // The folder, since the file may be replaced by another one.
    watcher = watch(dirname(path), { persistent: false }, (_event, name) => {
      if (name === null || name === basename(path)) soon()
    })
    watcher.on('error', () => {})
  } catch {
    // The poll is enough.
  }
  const poll = setInterval(() => void look(), pollMs)
  poll.unref()
  return {
    async reload() {
      seen = await identityOf(path)
      await load()
    },
    close() {
      clearTimeout(timer)
      clearInterval(poll)
      watcher?.close()
    },
  }
}

/** Stops listening, and waits for the requests under way, but not for long. */
async function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections()
  const deadline = new Deadline(graceSeconds, undefined, () => new Error('too late'))
  await deadline.settle(closed).catch(() => server.closeAllConnections())
  await closed
}
