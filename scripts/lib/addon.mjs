import { spawnSync } from 'node:child_process'
import { existsSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { run } from './child.mjs'
import { fetchHeaders, findHeaders } from './headers.mjs'
import { nodeGyp } from './pnpm.mjs'
import { root } from './root.mjs'
import { say, saySlow } from './terminal.mjs'

const timeoutSeconds = 240

/** Whether pkcs11js can be used: only loading it tells, since an installation ignores a failed build. */
async function loads(/** @type {string} */ folder) {
  const program = `require(${JSON.stringify(folder)})`
  const { code } = await run(process.execPath, ['--eval', program], { output: 'capture' })
  return code === 0
}

/**
 * @param {string} folder
 * @param {string | undefined} headers left to node-gyp to download when undefined
 */
async function rebuild(folder, headers) {
  const program = await nodeGyp()
  return saySlow('Compiling pkcs11js', () =>
    run(process.execPath, [program, 'rebuild'], {
      cwd: folder,
      // An empty value would count, too.
      env: { npm_config_nodedir: headers },
      output: 'capture',
      timeoutSeconds,
    }),
  )
}

/** What a native build needs and this machine lacks. */
function missingTools() {
  if (process.platform === 'win32') return []
  /** @type {[string, (string | undefined)[]][]} */
  const needed = [
    ['a C++ compiler', [process.env['CXX'], 'c++', 'g++', 'clang++']],
    ['make', [process.env['MAKE'], 'make', 'gmake']],
    ['python3', [process.env['npm_config_python'], process.env['PYTHON'], 'python3', 'python']],
  ]
  const works = (/** @type {string | undefined} */ command) =>
    !!command && spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0
  return needed.filter(([, commands]) => !commands.some(works)).map(([name]) => name)
}

/** How to get what is missing, where that is known. */
function remedy() {
  if (process.platform === 'darwin') return 'run "xcode-select --install"'
  if (existsSync('/etc/debian_version')) return 'run "sudo apt-get install g++ make python3"'
  if (existsSync('/etc/fedora-release')) return 'run "sudo dnf install gcc-c++ make python3"'
  return 'install it'
}

/**
 * Sees to it that pkcs11js, the one native package, is compiled and loads. Everything but a PKCS#11
 * token works without it.
 *
 * @returns {Promise<string | undefined>} why it does not, when that is so
 */
export async function buildAddon() {
  const link = join(root, 'packages/pkcs11/node_modules/pkcs11js')
  if (!existsSync(link)) return 'pkcs11js is not installed'
  const folder = realpathSync(link)
  if (await loads(folder)) return undefined
  const tools = missingTools()
  if (tools.length > 0) {
    return `pkcs11js cannot be compiled, not found: ${tools.join(', ')}; ${remedy()}`
  }
  const headers = findHeaders()
  let outcome = await rebuild(folder, headers)
  if (outcome.code !== 0 && headers === undefined) {
    say('The headers of Node could not be downloaded.')
    const fetched = await fetchHeaders()
    if (fetched !== undefined) outcome = await rebuild(folder, fetched)
  }
  if (await loads(folder)) return undefined
  console.log(outcome.output)
  return 'pkcs11js does not compile; see above'
}
