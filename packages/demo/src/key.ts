import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Signer } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { signerFromUri } from '@countersign/uri'

/** The key that the demo signs with. */
export interface DemoKey extends AsyncDisposable {
  readonly signer: Signer
  /** Where the key comes from, as the report says it. */
  readonly origin: string
  /** What `COUNTERSIGN_KEY` must be for the command to use the same key; a new key is written to a file for that. */
  export(): Promise<string>
}

/** Opens the key that a URI or a path names. */
export async function openKey(key: string, signal: AbortSignal): Promise<DemoKey> {
  const isUri = /^[a-z][a-z0-9+.-]+:/i.test(key)
  const uri = isUri ? key : pathToFileURL(resolve(key)).href
  const { COUNTERSIGN_PIN: pin, COUNTERSIGN_PASSPHRASE: passphrase } = process.env
  const signer = await signerFromUri(uri, {
    pin: pin || undefined,
    passphrase: passphrase || undefined,
    signal,
  })
  return {
    signer,
    origin: 'yours',
    // A PIN is never shown.
    export: async () => uri.replace(/(?<=[?&;]pin-value=)[^&;]*/, 'PIN'),
    [Symbol.asyncDispose]: () => signer.close(),
  }
}

/** Makes a key for this run. */
export async function newKey(): Promise<DemoKey> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  let folder: string | undefined
  return {
    signer: await localSigner({ key: privateKey }),
    origin: 'made for this run',
    async export() {
      folder ??= await mkdtemp(join(tmpdir(), 'countersign-demo-'))
      return writeKey(privateKey, folder)
    },
    async [Symbol.asyncDispose]() {
      if (folder !== undefined) await rm(folder, { recursive: true, force: true })
    },
  }
}

async function writeKey(key: KeyObject, folder: string): Promise<string> {
  const file = join(folder, 'key.pem')
  await writeFile(file, key.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  return file
}
