import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { Failure } from '../lib/failure.mjs'
import { importsOf, packageOf } from '../lib/imports.mjs'
import { packages } from '../lib/workspace.mjs'

/**
 * What each package may depend on: `internal` are packages of this repository, `external` are
 * dependencies, `peers` are what a user brings, `optional` is what an installation may leave out, and which folder alone
 * imports it. Data goes one way; this table is where that is kept.
 *
 * @type {Record<string, { internal: string[], external: string[], peers: string[], optional?: { in: string, external: string[] } }>}
 */
const allowed = {
  core: { internal: [], external: ['asn1js'], peers: [] },
  local: { internal: ['core'], external: [], peers: [] },
  pkcs11: { internal: ['core'], external: ['pkcs11js'], peers: [] },
  'aws-kms': { internal: ['core'], external: [], peers: ['@aws-sdk/client-kms'] },
  'gcp-kms': { internal: ['core'], external: [], peers: ['@google-cloud/kms'] },
  'azure-key-vault': { internal: ['core'], external: [], peers: ['@azure/keyvault-keys'] },
  uri: {
    internal: ['core'],
    external: [],
    peers: [
      '@countersign/local',
      '@countersign/aws-kms',
      '@countersign/gcp-kms',
      '@countersign/azure-key-vault',
      '@countersign/pkcs11',
      '@azure/identity',
    ],
  },
  cli: {
    internal: ['core', 'local', 'mcp', 'oauth', 'uri'],
    external: ['@bomb.sh/tab', '@modelcontextprotocol/client', 'commander', 'undici'],
    peers: [],
  },
  demo: {
    internal: ['core', 'local', 'mcp', 'oauth', 'uri'],
    external: [
      '@modelcontextprotocol/client',
      '@modelcontextprotocol/node',
      '@modelcontextprotocol/server',
      'jose',
      'oidc-provider',
    ],
    peers: [],
  },
  testkit: { internal: ['core'], external: [], peers: [] },
  oauth: { internal: ['core'], external: ['oauth4webapi'], peers: [] },
  mcp: {
    internal: ['oauth'],
    external: [],
    peers: ['@modelcontextprotocol/client', '@modelcontextprotocol/sdk'],
  },
}

/** Peers that serve for their types and are never imported at run time. */
const typesOnly = /^@modelcontextprotocol\//

const scope = '@countersign/'

/**
 * @param {string} package_
 * @param {string} what
 * @param {readonly string[]} found
 * @param {readonly string[]} wanted
 * @returns {string[]}
 */
function difference(package_, what, found, wanted) {
  return found
    .filter((name) => !wanted.includes(name))
    .map((name) => `${package_}: ${name} is not admitted as ${what}; admitted: ${list(wanted)}`)
}

/** @param {readonly string[]} names */
const list = (names) => (names.length === 0 ? 'nothing' : names.join(', '))

/**
 * package.json and tsconfig.json of every package say what the table says.
 */
export function dependencyTable() {
  const complaints = packages().flatMap(({ folder, path, manifest }) => {
    const row = allowed[folder]
    if (row === undefined) return [`${folder}: not in the table of ${basename(import.meta.url)}`]
    const names = Object.keys(manifest.dependencies ?? {})
    const internal = names.filter((name) => name.startsWith(scope))
    const wanted = row.internal.map((name) => scope + name)
    const references = /** @type {{ path: string }[]} */ (
      JSON.parse(readFileSync(join(path, 'tsconfig.json'), 'utf8')).references ?? []
    ).map((reference) => scope + basename(reference.path))
    const external = names.filter((name) => !name.startsWith(scope))
    const peers = Object.keys(manifest.peerDependencies ?? {})
    const optional = Object.keys(manifest.optionalDependencies ?? {})
    const ours = [...internal, ...peers.filter((name) => name.startsWith(scope))]
    return [
      ...difference(folder, 'a dependency', internal, wanted),
      ...difference(folder, 'a dependency', external, row.external),
      ...difference(folder, 'a peer', peers, row.peers),
      ...difference(folder, 'optional', optional, row.optional?.external ?? []),
      ...difference(folder, 'a reference in tsconfig.json', references, ours),
      ...ours
        .filter((name) => !references.includes(name))
        .map((name) => `${folder}: tsconfig.json has no reference to ${name}`),
    ]
  })
  if (complaints.length > 0) throw new Failure(complaints.join('\n'))
}

/** @param {string} file */
const readImports = (file) => importsOf(readFileSync(file, 'utf8'))

/**
 * What the compiler wrote imports only what package.json declares, peers only on demand or for
 * their types, the SDKs of MCP as peers for their types alone, and what is optional in its folder only.
 */
export function imports() {
  const complaints = packages().flatMap(({ folder, path, manifest }) => {
    const dependencies = [...Object.keys(manifest.dependencies ?? {}), manifest.name]
    const peers = Object.keys(manifest.peerDependencies ?? {})
    return compiled(path).flatMap((file) => {
      const { fixed, dynamic } = readImports(join(path, 'dist', file))
      const atRunTime = file.endsWith('.js')
      return [...fixed, ...dynamic].flatMap((specifier) => {
        const name = packageOf(specifier)
        if (name === undefined || dependencies.includes(name)) return []
        const optional = allowed[folder]?.optional
        if (optional?.external.includes(name) && file.startsWith(optional.in)) return []
        const late = !atRunTime || !fixed.includes(specifier)
        if (peers.includes(name) && late && !(atRunTime && typesOnly.test(name))) return []
        const how = atRunTime ? 'at run time' : 'for its types'
        return [`${folder}/dist/${file} imports ${name} ${how}; package.json does not admit that`]
      })
    })
  })
  if (complaints.length > 0) throw new Failure(complaints.join('\n'))
}

/** @param {string} path a package's folder */
function compiled(path) {
  const dist = join(path, 'dist')
  if (!existsSync(dist)) throw new Failure(`${dist} does not exist.`)
  return /** @type {string[]} */ (readdirSync(dist, { recursive: true })).filter((file) =>
    /\.(?:js|d\.ts)$/.test(file),
  )
}

/** Importing core does not load the parser of DER, which takes longer than a signature. */
export function derOnDemand() {
  const core = packages().find(({ folder }) => folder === 'core')
  if (core === undefined) throw new Failure('packages/core does not exist.')
  const loaded = [join(core.path, 'dist/index.js')]
  for (const file of loaded) {
    for (const specifier of readImports(file).fixed) {
      if (specifier === 'asn1js') throw new Failure(`${file} imports asn1js before it is needed`)
      if (!specifier.startsWith('.')) continue
      const next = join(dirname(file), specifier)
      if (!loaded.includes(next)) loaded.push(next)
    }
  }
}
