// Installs and builds. Uses only Node.js, because nothing else is installed yet.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { constants, homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { cache, members, packages, readManifest, root } from './workspace.mjs'

/** A failure that its message explains. It is shown without a stack. */
export class Failure extends Error {
  /** @override */
  name = 'Failure'
}

/** The environment of the child processes of a command that has already installed and built. */
export const prepared = { COUNTERSIGN_PREPARED: '1' }

/** The version in `packageManager` of package.json. */
export const pnpmVersion = readManifest(root).packageManager?.replace('pnpm@', '') ?? ''

/** Installs and builds what is not up to date. */
export async function prepare() {
  install()
  build()
}

/**
 * Runs a program. Its output goes to this terminal unless it is captured. Throws when a program whose output is captured
 * runs for more than ten minutes.
 *
 * @param {readonly string[]} command
 * @param {{ cwd?: string, env?: Record<string, string | undefined>, capture?: boolean }} [options]
 */
export function runSync([program = '', ...args], { cwd = root, env = {}, capture = false } = {}) {
  const { status, signal, stdout, stderr, error } = spawnSync(program, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: capture ? ['ignore', 'pipe', 'pipe'] : 'inherit',
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
    timeout: capture ? 600_000 : undefined,
  })
  if (error !== undefined) throw error
  const code = status ?? 128 + (signal === null ? 0 : constants.signals[signal])
  return { code, output: `${stdout ?? ''}${stderr ?? ''}` }
}

/**
 * Installs packages into a folder by npm, unless they are installed.
 *
 * @param {string} folder
 * @param {string} specifier
 * @param {readonly string[]} [options]
 */
export function fetchPackage(folder, specifier, options = []) {
  mkdirSync(folder, { recursive: true })
  const args = ['install', '--no-save', '--no-audit', '--no-fund', '--prefix', folder, ...options]
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
  // An outer npm sets this for its scripts, but this npm works in another folder.
  const env = { npm_config_local_prefix: undefined }
  const { code, output } = runSync([npm, ...args, specifier], { cwd: folder, env, capture: true })
  if (code !== 0) throw new Failure(`${output}\nnpm could not fetch ${specifier}.`)
}

/**
 * Returns the folder of a version of pnpm, which npm fetches into `.cache` the first time.
 *
 * @param {string} version
 */
function pnpmFolder(version) {
  const home = join(cache, 'pnpm', version)
  const folder = join(home, 'node_modules/pnpm')
  if (!existsSync(folder)) fetchPackage(home, `pnpm@${version}`)
  return folder
}

/**
 * Returns the command that runs a version of pnpm: a script for Node.js up to version 11, an executable from version 12.
 *
 * @param {string} [version]
 */
export function pnpmCommand(version = pnpmVersion) {
  const folder = pnpmFolder(version)
  const script = join(folder, 'bin/pnpm.cjs')
  return existsSync(script) ? [process.execPath, script] : [join(folder, 'pnpm')]
}

/** Installs the packages of the lockfile, unless they are installed. */
function install() {
  offerHeaders()
  // In node_modules, so that it is removed together with the packages.
  const stamp = join(root, 'node_modules/.countersign-install')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === fingerprint()) return
  console.log(`Installing the dependencies with pnpm ${pnpmVersion} …`)
  // The only script that must run compiles pkcs11js, which is done below.
  const options = ['--frozen-lockfile', '--ignore-scripts', '--config.confirmModulesPurge=false']
  if (runSync([...pnpmCommand(), 'install', ...options]).code !== 0) {
    throw new Failure(
      'pnpm could not install the dependencies. If it says that the lockfile is out of date, ' +
        `run "npx pnpm@${pnpmVersion} install" and commit pnpm-lock.yaml.`,
    )
  }
  const problem = buildAddon()
  if (problem !== undefined) console.log(`${problem}. PKCS#11 tokens need it.`)
  offerHeaders()
  // After the installation, because pnpm writes members without dependencies to the lockfile even when it is frozen.
  writeFileSync(stamp, fingerprint())
}

function fingerprint() {
  const hash = createHash('sha256')
  const manifests = members().map(({ path }) => join(path, 'package.json'))
  const own = ['package.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml', '.npmrc']
  for (const file of [...own.map((name) => join(root, name)), ...manifests]) {
    hash.update(`${file}\0`).update(readFileSync(file))
  }
  const [major] = process.versions.node.split('.')
  return hash.update(`${major}-${process.platform}-${process.arch}-${pnpmVersion}`).digest('hex')
}

/** Compiles the packages that changed, and removes the output of sources that were deleted. */
function build() {
  for (const { path } of packages()) {
    const dist = join(path, 'dist')
    if (!existsSync(dist)) continue
    for (const file of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
      const stem = /^(.*?)(?:\.d\.ts|\.js)(?:\.map)?$/.exec(file)?.[1]
      const source = join(path, 'src', `${stem}.ts`)
      if (stem !== undefined && !existsSync(source)) rmSync(join(dist, file))
    }
  }
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const paths = packages().map(({ path }) => path)
  const { code, output } = runSync([process.execPath, tsc, '-b', '--pretty', 'false', ...paths], {
    capture: true,
  })
  if (code !== 0) throw new Failure(`${output}\nThe packages do not compile.`)
}

/**
 * Finds a folder on this machine that has Node's headers in `include/node`: the caller's choice, the folder of the
 * running Node.js, that of a system package, or one that was fetched before. An addon that uses only Node-API compiles
 * with the headers of any version. Windows also needs an import library, which only node-gyp can fetch.
 *
 * @param {string} [node] path of the running Node.js
 * @returns {string | undefined}
 */
export function findHeaders(node = process.execPath) {
  if (process.platform === 'win32') return undefined
  const { npm_config_nodedir, npm_config_devdir, XDG_CACHE_HOME } = process.env
  const caches =
    process.platform === 'darwin' ? join(homedir(), 'Library/Caches') : join(homedir(), '.cache')
  const within = (/** @type {string} */ folder) =>
    existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : []
  return [
    npm_config_nodedir,
    dirname(dirname(realpathSync(node))),
    '/usr',
    '/usr/local',
    ...within(npm_config_devdir || join(XDG_CACHE_HOME || caches, 'node-gyp')),
    ...within(join(cache, 'headers/node_modules')),
    ...within(join(cache, 'node')),
  ].find((folder) => !!folder && existsSync(join(folder, 'include/node/node_api.h')))
}

/** Tells the compilers in child processes where the headers are. */
function offerHeaders() {
  const headers = findHeaders()
  // node-gyp would also use an empty value.
  if (headers === undefined) delete process.env['npm_config_nodedir']
  else process.env['npm_config_nodedir'] = headers
}

/**
 * Compiles pkcs11js, the only native package. An installation ignores a failed build, so only loading the package shows
 * whether it was compiled.
 *
 * @returns {string | undefined} why it does not load, or `undefined` if it loads
 */
export function buildAddon() {
  const link = join(root, 'packages/pkcs11/node_modules/pkcs11js')
  if (!existsSync(link)) return 'pkcs11js is not installed'
  const folder = realpathSync(link)
  const program = `require(${JSON.stringify(folder)})`
  const loads = () => runSync([process.execPath, '--eval', program], { capture: true }).code === 0
  if (loads()) return undefined
  const gyp = join(pnpmFolder(pnpmVersion), 'dist/node_modules/node-gyp/bin/node-gyp.js')
  const rebuild = () => runSync([process.execPath, gyp, 'rebuild'], { cwd: folder, capture: true })
  console.log('Compiling pkcs11js …')
  let outcome = rebuild()
  if (outcome.code !== 0 && findHeaders() === undefined) {
    // A whole Node.js from npm has the headers, where they cannot be downloaded by themselves.
    const [major] = process.versions.node.split('.')
    const specifier = `node-${process.platform}-${process.arch}@${major}`
    console.log(`Fetching ${specifier} from npm, for its headers …`)
    fetchPackage(join(cache, 'headers'), specifier, ['--ignore-scripts'])
    offerHeaders()
    outcome = rebuild()
  }
  if (loads()) return undefined
  console.log(outcome.output)
  return 'pkcs11js does not compile (see above); it needs a C++ compiler, make and Python 3'
}
