import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Failure, pnpmCommand, runSync } from './prepare.mjs'
import { publishable } from './workspace.mjs'

/**
 * A package and its tarball.
 *
 * @typedef {{ name: string, tarball: string }} Packed
 */

/**
 * Packs every publishable package as it would be published.
 *
 * @param {string} folder for the tarballs; emptied first
 * @param {string} [repository] its URL, for the manifest members that name the repository
 * @returns {Packed[]}
 */
export function packAll(folder, repository) {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const packed = []
  for (const { path, folder: name, manifest } of publishable()) {
    const tarball = join(folder, `${manifest.name.replace('@', '').replace('/', '-')}.tgz`)
    const file = join(path, 'package.json')
    const written = readFileSync(file)
    try {
      if (repository !== undefined) {
        const members = publicMembers(repository, `packages/${name}`)
        writeFileSync(file, `${JSON.stringify({ ...manifest, ...members }, undefined, 2)}\n`)
      }
      const command = [...pnpmCommand(), 'pack', '--out', tarball]
      const { code, output } = runSync(command, { cwd: path, capture: true })
      if (code !== 0) throw new Failure(`${output}\n${manifest.name} could not be packed.`)
    } finally {
      if (repository !== undefined) writeFileSync(file, written)
    }
    packed.push({ name: manifest.name, tarball })
  }
  return packed
}

const keywords = [
  'oauth2',
  'private_key_jwt',
  'client-assertion',
  'rfc7523',
  'jwt',
  'kms',
  'hsm',
  'pkcs11',
  'mcp',
]

/**
 * The members of a published manifest that say where the package comes from.
 *
 * @param {string} repository
 * @param {string} directory
 */
const publicMembers = (repository, directory) => ({
  keywords,
  homepage: `${repository}#readme`,
  bugs: { url: `${repository}/issues` },
  repository: { type: 'git', url: `git+${repository}.git`, directory },
})

/**
 * The https URL of a repository, from a git remote in any of its spellings.
 *
 * @param {string} remote
 * @returns {string | undefined} `undefined` for a remote without a web page, such as a folder
 */
export function repositoryUrl(remote) {
  const [, host, path] =
    /^(?:https:\/\/(?:[^@/]+@)?|ssh:\/\/git@|git@)([\w.-]+\.[a-z]+)[:/]([\w.-]+\/[\w.-]+?)(?:\.git)?\/?$/i.exec(
      remote.trim(),
    ) ?? []
  return host === undefined ? undefined : `https://${host}/${path}`
}

/**
 * Publishes every package with provenance.
 *
 * @param {string} folder for the tarballs
 * @param {readonly string[]} options further options of `npm publish`, such as `--dry-run`
 */
export function release(folder, options) {
  const { code, output } = runSync(['git', 'remote', 'get-url', 'origin'], { capture: true })
  const repository = code === 0 ? repositoryUrl(output) : undefined
  if (repository === undefined) {
    throw new Failure(
      'Nothing was published: "git remote get-url origin" does not name a repository on the web. The manifests of published packages must name one.',
    )
  }
  const packed = packAll(folder, repository)
  for (const { name, tarball } of packed) {
    const command = ['npm', 'publish', tarball, '--access', 'public', '--provenance', ...options]
    if (runSync(command).code !== 0) throw new Failure(`${name} could not be published.`)
  }
}

/**
 * Returns the arguments of `npm install`, with tarballs in place of the names of our packages. Adds the packages that
 * these depend on, because no registry has them.
 *
 * @param {readonly string[]} words
 * @param {readonly Packed[]} packed
 * @returns {string[]}
 */
export function withTarballs(words, packed) {
  const manifests = new Map(publishable().map(({ manifest }) => [manifest.name, manifest]))
  const needed = new Set(words.filter((word) => manifests.has(word)))
  for (const name of needed) {
    for (const dependency of Object.keys(manifests.get(name)?.dependencies ?? {})) {
      if (manifests.has(dependency)) needed.add(dependency)
    }
  }
  const tarballs = packed.filter(({ name }) => needed.has(name)).map(({ tarball }) => tarball)
  return [...words.filter((word) => !manifests.has(word)), ...tarballs]
}
