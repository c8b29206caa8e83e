import { mkdirSync, rmSync } from 'node:fs'
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
 * @param {string} folder where the tarballs go; emptied first
 * @returns {Packed[]}
 */
export function packAll(folder) {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const packed = []
  for (const { path, manifest } of publishable()) {
    const tarball = join(folder, `${manifest.name.replace('@', '').replace('/', '-')}.tgz`)
    const command = [...pnpmCommand(), 'pack', '--out', tarball]
    const { code, output } = runSync(command, { cwd: path, capture: true })
    if (code !== 0) throw new Failure(`${output}\n${manifest.name} could not be packed.`)
    packed.push({ name: manifest.name, tarball })
  }
  return packed
}

/**
 * The arguments of `npm install`, with tarballs in place of our packages' names. The packages that those depend on are
 * added, since no registry has them.
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
