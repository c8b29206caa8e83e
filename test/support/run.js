// @ts-check
import { join } from 'node:path'
import { x } from 'tinyexec'
import { root } from '../../scripts/workspace.mjs'
import { endTree } from './processes.js'

/**
 * Runs a program and waits for its end, without colours and without standard input. After the timeout it ends the program
 * with all its subprocesses.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: Record<string, string | undefined>, timeoutSeconds?: number }} [options] `env` is added
 *   to this process's environment; `undefined` removes
 * @returns {Promise<{ code: number, output: string, timedOut: boolean }>} `output`: standard output and error
 */
export async function run(command, args, { cwd = root, env = {}, timeoutSeconds = 600 } = {}) {
  const plain = { NO_COLOR: '1', FORCE_COLOR: undefined }
  const running = x(command, [...args], {
    nodeOptions: {
      cwd,
      env: { ...process.env, ...plain, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  })
  let timedOut = false
  const timer = setTimeout(() => {
    timedOut = true
    if (running.pid !== undefined) endTree(running.pid)
    // A process that left the tree may still have the pipes.
    for (const pipe of [running.process?.stdout, running.process?.stderr]) pipe?.destroy()
  }, timeoutSeconds * 1000)
  const { exitCode, stdout, stderr } = await running
  clearTimeout(timer)
  return { code: exitCode ?? 1, output: stdout + stderr, timedOut }
}

/**
 * Like {@link run}, and throws when the program fails.
 *
 * @param {Parameters<typeof run>} command
 * @returns {Promise<string>} its output
 */
export async function output(...command) {
  const { code, output, timedOut } = await run(...command)
  if (timedOut) throw new Error(`${output.slice(-4000)}\n${command[0]} did not end in time`)
  if (code !== 0)
    throw new Error(`${output.slice(-4000)}\n${command[0]} ended with exit code ${code}`)
  return output
}

/**
 * Runs npm, independently of the project that an outer npm names.
 *
 * @param {readonly string[]} args
 * @param {Parameters<typeof run>[2]} [options]
 */
export const npm = (args, { env, ...options } = {}) =>
  output('npm', args, { ...options, env: { ...env, npm_config_local_prefix: undefined } })

/**
 * Runs a tool that the workspace has installed.
 *
 * @param {string} name
 * @param {readonly string[]} args
 * @param {Parameters<typeof run>[2]} [options]
 */
export const tool = (name, args, options) =>
  output(join(root, 'node_modules/.bin', name), args, options)
