// @ts-check
import { join } from 'node:path'
import { x } from 'tinyexec'
import { root } from '../../scripts/workspace.mjs'

/**
 * Runs a program and waits for its end, without colours and without standard input.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: Record<string, string | undefined>, timeoutSeconds?: number }} [options] `env` is added
 *   to this process's environment; `undefined` removes
 * @returns {Promise<{ code: number, output: string, timedOut: boolean }>} `output`: standard output and error
 */
export async function run(command, args, { cwd = root, env = {}, timeoutSeconds = 600 } = {}) {
  const signal = AbortSignal.timeout(timeoutSeconds * 1000)
  const plain = { NO_COLOR: '1', FORCE_COLOR: undefined }
  const { exitCode, stdout, stderr } = await x(command, [...args], {
    signal,
    nodeOptions: {
      cwd,
      env: { ...process.env, ...plain, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  })
  return { code: exitCode ?? 1, output: stdout + stderr, timedOut: signal.aborted }
}

/**
 * Like {@link run}, and throws when the program fails.
 *
 * @param {Parameters<typeof run>} command
 * @returns {Promise<string>} its output
 */
export async function output(...command) {
  const { code, output, timedOut } = await run(...command)
  if (timedOut) throw new Error(`${output.slice(-4000)}\n${command[0]} took too long`)
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
