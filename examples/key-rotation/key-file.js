// @ts-check
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, readFile, rename, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A private key in a file. */
export async function createKeyFile() {
  const folder = await mkdtemp(join(tmpdir(), 'countersign-example-'))
  const path = join(folder, 'key.pem')

  /** A new key, in PEM. */
  function generate() {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    return privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
  }

  /**
   * Puts a key in the place of the one before. To rename leaves no moment in which there is none, or half of one.
   *
   * @param {string} pem
   */
  async function replace(pem) {
    const beside = join(folder, 'next.pem')
    await writeFile(beside, pem, { mode: 0o600 })
    await rename(beside, path)
  }

  await replace(generate())
  return { folder, generate, replace, read: () => readFile(path, 'utf8') }
}
