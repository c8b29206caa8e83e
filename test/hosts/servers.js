// @ts-check
// MCP servers that others wrote, without authorization. Each one listens on a free port of 127.0.0.1, and ends when this
// process ends.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { npmRelease } from '../support/npm-release.js'
import { fastMcp } from '../support/python.js'

/** The release of `@modelcontextprotocol/server-everything`. */
const everything = {
  name: '@modelcontextprotocol/server-everything',
  version: '2026.8.31',
}

/**
 * @typedef {object} RunningServer
 * @property {string} origin  its MCP endpoint is at `/mcp`
 * @property {() => Promise<void>} close
 */

/** @param {string} file relative to this one */
const path = (file) => fileURLToPath(new URL(file, import.meta.url))

/** Nothing of this process's environment, which the servers may show. */
const env = { PATH: process.env['PATH'], SYSTEMROOT: process.env['SYSTEMROOT'] }

const patienceMs = 30_000

/**
 * Starts `@modelcontextprotocol/server-everything` with Streamable HTTP.
 *
 * @returns {Promise<RunningServer>}
 */
export async function startEverything() {
  const program = join(npmRelease(everything), 'node_modules', everything.name, 'dist/index.js')
  const child = spawn(
    process.execPath,
    ['--import', path('../servers/loopback-only.js'), program, 'streamableHttp'],
    { env, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] },
  )
  const [{ port }] = await started(child, once(child, 'message', timeout()))
  return running(child, port)
}

/**
 * Starts an MCP server on FastMCP.
 *
 * @returns {Promise<RunningServer>}
 */
export async function startFastMcp() {
  const python = fastMcp.python()
  if (python === undefined)
    throw new Error('FastMCP is not installed; run npm test -- --lane hosts')
  const child = spawn(python, [path('fastmcp_server.py')], {
    env,
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  const lines = createInterface({ input: child.stdout })
  const [port] = await started(child, once(lines, 'line', timeout()))
  return running(child, Number(port))
}

const timeout = () => ({ signal: AbortSignal.timeout(patienceMs) })

/**
 * @template T
 * @param {import('node:child_process').ChildProcess} child
 * @param {Promise<T>} ready
 */
function started(child, ready) {
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the server ended with exit code ${code}`)
  })
  return Promise.race([ready, ended]).catch((error) => {
    child.kill('SIGKILL')
    throw error
  })
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @param {number} port
 * @returns {RunningServer}
 */
function running(child, port) {
  return {
    origin: `http://127.0.0.1:${port}`,
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
  }
}
