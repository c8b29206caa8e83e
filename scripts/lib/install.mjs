import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { buildAddon } from './addon.mjs'
import { Failure } from './failure.mjs'
import { findHeaders } from './headers.mjs'
import { pnpm, pnpmVersion } from './pnpm.mjs'
import { root } from './root.mjs'
import { say } from './terminal.mjs'
import { members } from './workspace.mjs'

// Lies inside node_modules, so that removing the one removes the other.
const stampFile = join(root, 'node_modules/.countersign-install')

function fingerprint() {
  const hash = createHash('sha256')
  const files = [
    'package.json',
    'pnpm-lock.yaml',
    'pnpm-workspace.yaml',
    '.npmrc',
    ...members().map(({ path }) => join(relative(root, path), 'package.json')),
  ]
  for (const file of files) hash.update(`${file}\0`).update(readFileSync(join(root, file)))
  const [major] = process.versions.node.split('.')
  hash.update([major, process.platform, process.arch, pnpmVersion].join('\0'))
  return hash.digest('hex')
}

function isInstalled() {
  if (!existsSync(stampFile) || readFileSync(stampFile, 'utf8') !== fingerprint()) return false
  return members().every(
    ({ path, manifest }) =>
      Object.keys({ ...manifest.dependencies, ...manifest.devDependencies }).length === 0 ||
      existsSync(join(path, 'node_modules')),
  )
}

/** Tells whatever compiles in a child process where Node's headers lie. */
function offerHeaders() {
  const headers = findHeaders()
  // An empty value would count, too.
  if (headers === undefined) delete process.env['npm_config_nodedir']
  else process.env['npm_config_nodedir'] = headers
}

/** Installs what the lockfile says, unless that is what is installed already. */
export async function install() {
  offerHeaders()
  if (isInstalled()) return
  say(`Installing the dependencies with pnpm ${pnpmVersion} …`)
  const { code } = await pnpm([
    'install',
    '--frozen-lockfile',
    // The one script that is to run compiles pkcs11js, without which all else has to work.
    '--ignore-scripts',
    '--config.confirmModulesPurge=false',
  ])
  if (code !== 0) {
    throw new Failure(
      'pnpm could not install the dependencies. If it says that the lockfile is out of date, ' +
        `run "npx pnpm@${pnpmVersion} install" and commit pnpm-lock.yaml.`,
    )
  }
  const complaint = await buildAddon()
  if (complaint !== undefined) say(`${complaint}. Tokens cannot be used here without it.`)
  offerHeaders()
  // Taken now: pnpm notes members without dependencies in the lockfile, frozen or not.
  writeFileSync(stampFile, fingerprint())
}
