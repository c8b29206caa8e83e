import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { keyPair } from '../support/key-pairs.js'
import { loaded } from './opening.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const version = 'projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1'

/** An address without a server. */
let nowhere: string
let folder: string
let keyFile: string

beforeAll(async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  nowhere = `127.0.0.1:${(server.address() as AddressInfo).port}`
  server.close()
  folder = mkdtempSync(join(tmpdir(), 'countersign-uri-'))
  keyFile = join(folder, 'key.pem')
  const pem = keyPair('P-256').privateKey.export({ format: 'pem', type: 'pkcs8' })
  writeFileSync(keyFile, pem, { mode: 0o600 })
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

const uris = {
  file: () => pathToFileURL(keyFile).href,
  awskms: () => 'awskms:///alias/agent?region=eu-west-1',
  gcpkms: () => `gcpkms://${version}?endpoint=http://${nowhere}`,
  azurekms: () => `azurekms://${nowhere}/keys/k`,
  pkcs11: () => 'pkcs11:token=t;object=k?module-path=/nowhere.so',
}

const env = () => ({
  AWS_ENDPOINT_URL_KMS: `http://${nowhere}`,
  AWS_ACCESS_KEY_ID: 'x',
  AWS_SECRET_ACCESS_KEY: 'x',
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_CONFIG_FILE: '/nonexistent',
  AWS_SHARED_CREDENTIALS_FILE: '/nonexistent',
  COUNTERSIGN_AZURE_TOKEN: 'x',
  TIMEOUT_SECONDS: '2',
})

describe('only the backend and the SDK of the URI are loaded', () => {
  it.each([
    ['file', ['@countersign/local']],
    ['awskms', ['@countersign/aws-kms', '@aws-sdk/client-kms']],
    ['gcpkms', ['@countersign/gcp-kms', '@google-cloud/kms']],
    ['pkcs11', ['@countersign/pkcs11']],
  ] as const)('%s:', async (scheme, expected) => {
    const { packages, outcome } = await loaded(env(), uris[scheme]())
    expect(packages).toEqual(expected)
    // The key was opened, or its service was contacted.
    expect(outcome).toEqual(
      scheme === 'file' ? { assertion: expect.any(String) } : expect.objectContaining(reached),
    )
  })

  it('azurekms:', async () => {
    const { packages, outcome } = await loaded(env(), uris.azurekms())
    expect(packages.slice(0, 2)).toEqual(['@countersign/azure-key-vault', '@azure/keyvault-keys'])
    // The others are dependencies of the SDK; the default credential is not one.
    for (const name of packages.slice(2)) expect(name).toMatch(/^@azure\/(?!identity)/)
    expect(outcome).toEqual(expect.objectContaining(reached))
  })

  it.each([
    ['nonsense:', []],
    ['file:///nowhere/key.pem', []],
    ['awskms:///alias/agent?nonsense=1', []],
    ['pkcs11:token=t', []],
  ])('and none for a URI that is refused: %s', async (uri, expected) => {
    expect((await loaded(env(), uri)).packages).toEqual(expected)
  })
})

const reached = {
  code: expect.stringMatching(/^ERR_SIGNER_(?:UNAVAILABLE|TIMEOUT|CONFIG)$/),
  backend: expect.not.stringMatching(/^(?:uri|core)$/),
}

describe('an error names the packages to install', () => {
  let installed: string

  beforeAll(() => {
    installed = join(folder, 'node_modules/@countersign')
    for (const name of ['core', 'uri']) {
      const target = join(installed, name)
      mkdirSync(target, { recursive: true })
      for (const part of ['package.json', 'dist']) {
        cpSync(join(root, 'packages', name, part), join(target, part), { recursive: true })
      }
    }
    writeFileSync(
      join(folder, 'open.mjs'),
      `import { signerFromUri } from '@countersign/uri'
      await signerFromUri(process.argv[2]).catch(({ code, backend, message }) =>
        console.log(JSON.stringify({ code, backend, message })))`,
    )
  })

  async function refused(uri: string): Promise<unknown> {
    const args = [join(folder, 'open.mjs'), uri]
    const { stdout } = await promisify(execFile)(process.execPath, args, {
      env: {},
      timeout: 60_000,
    })
    return JSON.parse(stdout)
  }

  const missing = (...[first, ...others]: string[]) => ({
    code: 'ERR_SIGNER_CONFIG',
    backend: 'uri',
    message: `The package ${first} is not installed; run "npm install ${[first, ...others].join(' ')}"`,
  })

  it.each([
    ['file', '@countersign/local'],
    ['awskms', '@countersign/aws-kms', '@aws-sdk/client-kms'],
    ['gcpkms', '@countersign/gcp-kms', '@google-cloud/kms'],
    ['azurekms', '@countersign/azure-key-vault', '@azure/keyvault-keys'],
    ['pkcs11', '@countersign/pkcs11'],
  ] as const)('%s: the backend, with its SDK', async (scheme, ...packages) => {
    expect(await refused(uris[scheme]())).toEqual(missing(...packages))
  })

  it('azurekms: the default credential, if there is no other', async () => {
    const backend = join(installed, 'azure-key-vault')
    symlinkSync(join(root, 'packages/azure-key-vault'), backend)
    expect(await refused(uris.azurekms())).toEqual(missing('@azure/identity'))
    rmSync(backend)
  })
})
