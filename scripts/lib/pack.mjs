import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from './failure.mjs'
import { pnpm } from './pnpm.mjs'
import { publishable } from './workspace.mjs'

/**
 * Packs every publishable package as it would be published.
 *
 * @param {string} folder where the tarballs go; emptied first
 * @returns {Promise<{ name: string, tarball: string }[]>}
 */
export async function packAll(folder) {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const packed = []
  for (const { path, manifest } of publishable()) {
    const tarball = join(folder, `${manifest.name.replace('@', '').replace('/', '-')}.tgz`)
    const { code, output } = await pnpm(['pack', '--out', tarball], {
      cwd: path,
      output: 'capture',
    })
    if (code !== 0) throw new Failure(`${output}\n${manifest.name} could not be packed.`)
    packed.push({ name: manifest.name, tarball })
  }
  return packed
}
