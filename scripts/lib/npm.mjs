import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { run } from './child.mjs'

/**
 * Runs the npm that belongs to this Node.
 *
 * @param {readonly string[]} args
 * @param {import('./child.mjs').Options} [options]
 */
export function npm(args, options = {}) {
  // An outer `npm test` tells its scripts which project they run in; the inner npm works elsewhere.
  const env = { ...options.env, npm_config_local_prefix: undefined }
  const cli = npmCli()
  if (cli !== undefined) return run(process.execPath, [cli, ...args], { ...options, env })
  return run('npm', args, { ...options, env, shell: process.platform === 'win32' })
}

/** @returns {string | undefined} */
function npmCli() {
  const outer = process.env['npm_execpath']
  if (outer !== undefined && basename(outer) === 'npm-cli.js' && existsSync(outer)) return outer
  const bin = dirname(process.execPath)
  return [
    join(bin, '../lib/node_modules/npm/bin/npm-cli.js'),
    join(bin, 'node_modules/npm/bin/npm-cli.js'),
  ].find((file) => existsSync(file))
}
