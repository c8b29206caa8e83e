import { existsSync, mkdirSync, readdirSync, realpathSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { npm } from './npm.mjs'
import { cache } from './root.mjs'
import { saySlow } from './terminal.mjs'

const { platform, arch, execPath, versions } = process
const fetched = join(cache, 'headers')

/** @param {string | undefined} folder */
const hasHeaders = (folder) => !!folder && existsSync(join(folder, 'include/node/node_api.h'))

/**
 * The folders in `parent`, those of this very version first. Any version's headers do for an addon
 * that keeps to Node-API.
 *
 * @param {string} parent
 */
function foldersIn(parent) {
  if (!existsSync(parent)) return []
  const own = (/** @type {string} */ name) => (name === versions.node ? 0 : 1)
  return readdirSync(parent)
    .sort((a, b) => own(a) - own(b))
    .map((name) => join(parent, name))
}

/** Where node-gyp keeps the headers that it has downloaded. */
function gypCache() {
  const { npm_config_devdir: chosen, XDG_CACHE_HOME: xdg } = process.env
  if (chosen) return chosen
  if (platform === 'darwin') return join(homedir(), 'Library/Caches/node-gyp')
  return join(xdg || join(homedir(), '.cache'), 'node-gyp')
}

/**
 * The folder that has Node's headers in `include/node`, when there is one on this machine: the caller's choice, the
 * folder of the running Node, or where a package of the system has put them. Windows also needs an import library,
 * which only node-gyp knows how to get.
 *
 * @param {string} [node] path of the running Node
 * @returns {string | undefined}
 */
export function findHeaders(node = execPath) {
  if (platform === 'win32') return undefined
  return [
    process.env['npm_config_nodedir'],
    dirname(dirname(realpathSync(node))),
    '/usr',
    '/usr/local',
    ...foldersIn(gypCache()),
    join(fetched, 'node_modules', `node-${platform}-${arch}`),
    ...foldersIn(join(cache, 'node')),
  ].find(hasHeaders)
}

/**
 * Fetches the headers with a whole Node from npm, where they cannot be downloaded by themselves.
 *
 * @returns {Promise<string | undefined>} as {@link findHeaders}
 */
export async function fetchHeaders() {
  const name = `node-${platform}-${arch}`
  const [major] = versions.node.split('.')
  mkdirSync(fetched, { recursive: true })
  for (const version of [versions.node, major]) {
    const { code } = await saySlow(`Fetching ${name}@${version} from npm, for its headers`, () =>
      npm(
        ['install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts'].concat(
          ['--prefix', fetched],
          `${name}@${version}`,
        ),
        { cwd: fetched, output: 'capture' },
      ),
    )
    if (code === 0) break
  }
  return findHeaders()
}
