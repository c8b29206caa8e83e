import { createPublicKey } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { clientAssertion } from '@countersign/core'
import { checkSigner } from '@countersign/testkit'
import {
  formatKeyUri,
  parseKeyUri,
  type SignerFromUriOptions,
  signerFromUri,
} from '@countersign/uri'
import { jwtVerify } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { countersign } from '../cli/command.ts'
import { markdownBlocks } from '../docs/code-blocks.ts'
import { keyPair } from '../support/key-pairs.js'
import { acmeVaultSigner, schemes } from './acme-vault/index.js'
import { type KeyService, startKeyService } from './key-service.js'

const name = '@acme/countersign-vault'
const source = new URL('./acme-vault/', import.meta.url)
const ec = (nth: number) => keyPair('P-256', nth)

let service: KeyService
let env: { readonly ACME_VAULT_URL: string; readonly ACME_VAULT_TOKEN: string }
/** A folder where the package is installed. */
let project: string

beforeAll(async () => {
  service = await startKeyService()
  service.addVersion('agent', ec(0).privateKey, ['ES256'])
  service.addVersion('agent', ec(1).privateKey, ['ES256'])
  service.addVersion('rsa', keyPair('RSA-2048').privateKey, ['RS256'])
  env = { ACME_VAULT_URL: service.url, ACME_VAULT_TOKEN: service.token }
  project = mkdtempSync(join(tmpdir(), 'countersign-third-party-'))
  mkdirSync(join(project, 'node_modules/@acme'), { recursive: true })
  symlinkSync(fileURLToPath(source), join(project, 'node_modules', name))
})

afterEach(() => {
  vi.unstubAllEnvs()
  service.failing = undefined
})

afterAll(async () => {
  rmSync(project, { recursive: true, force: true })
  await service?.close()
})

const load = (key: string) => acmeVaultSigner({ url: service.url, token: service.token, key })

async function open(uri: string, options: SignerFromUriOptions = {}) {
  for (const [variable, value] of Object.entries(env)) vi.stubEnv(variable, value)
  return signerFromUri(uri, { schemes, ...options })
}

const refusal = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.unreachable('nothing was refused'),
    (error) => error,
  )

describe('a backend that is written from docs/writing-a-signer.md', () => {
  it('is the code of the page, in under 120 lines', () => {
    const page = readFileSync(new URL('../../docs/writing-a-signer.md', import.meta.url), 'utf8')
    const blocks = markdownBlocks('page', page).filter(({ language }) => language === 'js')
    const file = readFileSync(new URL('index.js', source), 'utf8')
    expect(`${blocks.map(({ lines }) => lines.join('\n')).join('\n\n')}\n`).toBe(file)
    expect(file.split('\n').length).toBeLessThan(120)
    const imported = [...file.matchAll(/from '(.+)'/g)].map(([, specifier]) => specifier)
    expect(imported).toEqual(['@countersign/core', '@countersign/core/backend'])
  })

  it.each(['agent', 'rsa'])(
    'passes the testkit with the key %s, and leaves nothing open',
    async (key) => {
      const opened: Awaited<ReturnType<typeof load>>[] = []
      const violations = await checkSigner(
        async () => {
          const signer = await load(key)
          opened.push(signer)
          return signer
        },
        { signatures: 256 },
      )
      expect(violations).toEqual([])
      await Promise.all(opened.map((signer) => signer.close()))
      expect(service.sessions.size).toBe(0)
    },
  )

  it.each([
    [401, 'ERR_SIGNER_ACCESS_DENIED'],
    [403, 'ERR_SIGNER_ACCESS_DENIED'],
    [404, 'ERR_SIGNER_KEY_NOT_FOUND'],
    [409, 'ERR_SIGNER_KEY_DISABLED'],
    [429, 'ERR_SIGNER_THROTTLED'],
    [500, 'ERR_SIGNER_UNAVAILABLE'],
  ])('has its session closed when the service refuses the key with %i', async (status, code) => {
    service.failing = status
    expect(await refusal(load('agent'))).toMatchObject({ code, backend: 'acme-vault' })
    expect(service.sessions.size).toBe(0)
  })

  it('names a service that cannot be reached', async () => {
    const { url, token, close } = await startKeyService()
    await close()
    const error = await refusal(acmeVaultSigner({ url, token, key: 'agent' }))
    expect(error).toMatchObject({ code: 'ERR_SIGNER_UNAVAILABLE', retryable: true })
  })
})

describe('its scheme of key URIs', () => {
  it('opens a version of a key, or the newest one', async () => {
    for (const [uri, nth] of [
      ['acme-vault:///agent?version=1&alg=ES256&kid=the%20kid', 0],
      ['acme-vault:///agent?kid=the%20kid', 1],
    ] as const) {
      await using signer = await open(uri)
      const jwt = await clientAssertion(signer, { clientId: 'c', audience: 'https://as.example' })
      const { protectedHeader } = await jwtVerify(jwt, createPublicKey(ec(nth).privateKey))
      expect(protectedHeader).toMatchObject({ alg: 'ES256', kid: 'the kid' })
    }
    expect(service.sessions.size).toBe(0)
  })

  it('is parsed and written as the built-in ones are', () => {
    const uri = 'acme-vault:///agent?kid=a%20b&version=1'
    const parsed = parseKeyUri(uri, { schemes })
    expect(parsed).toEqual({ scheme: 'acme-vault', key: 'agent', version: '1', kid: 'a b' })
    expect(Object.isFrozen(parsed)).toBe(true)
    expect(formatKeyUri(parsed, { schemes })).toBe('acme-vault:///agent?version=1&kid=a%20b')
    expect(formatKeyUri(parseKeyUri('file:/k', { schemes }), { schemes })).toBe('file:///k')
  })

  it.each([
    ['acme-vault:agent', /names no key; write acme-vault:\/\/\/NAME/],
    ['acme-vault:///agent?versions=1', /unknown attribute "versions"; it takes version, alg, kid/],
    ['acme-vault:///agent?alg=none', /"alg" is not an algorithm/],
    ['acme-vault:///agent?version=1&version=2', /"version" twice/],
    ['acme-vault:///agent?version=../../rsa', /names no key; write .*version=NUMBER/],
    ['acme-vault:///agent#x', /fragment/],
    ['other:///agent', /one starts with file:, .*, pkcs11:, acme-vault:, in lower case/],
  ])('is as strict: %s', async (uri, says) => {
    const error = await refusal(open(uri))
    expect(error).toMatchObject({ code: 'ERR_SIGNER_CONFIG', message: expect.stringMatching(says) })
    expect(() => parseKeyUri(uri, { schemes })).toThrow(says)
  })

  it('is unknown where it is not given, and the error says how to add one', async () => {
    const error = await refusal(signerFromUri('acme-vault:///agent'))
    expect(error.message).toMatch(/To add the scheme of another package, give it in "schemes"$/)
    const parsed = parseKeyUri('acme-vault:///agent', { schemes })
    expect(() => formatKeyUri(parsed as never)).toThrow(TypeError)
  })

  it('closes what it opens after the caller has aborted', async () => {
    const reason = new Error('changed my mind')
    const controller = new AbortController()
    let closed = 0
    const late = {
      ...schemes[0],
      open: async () => {
        controller.abort(reason)
        const signer = await load('agent')
        return {
          ...signer,
          async close() {
            await signer.close()
            closed++
          },
        }
      },
    } as NonNullable<SignerFromUriOptions['schemes']>[number]
    const opening = signerFromUri('acme-vault:///agent', {
      schemes: [late],
      signal: controller.signal,
    })
    expect(await refusal(opening)).toBe(reason)
    await vi.waitFor(() => expect(closed).toBe(1))
    expect(service.sessions.size).toBe(0)
  })

  it.each([
    ['a name in capitals', { name: 'Acme' }, /"name" of two or more characters/],
    ['a name of one letter', { name: 'c' }, /"name" of two or more characters/],
    ['the name of a built-in scheme', { name: 'file' }, /scheme "file" exists already/],
    ['no way to open a key', { open: undefined }, /"acme-vault" must have the methods/],
  ])('is a TypeError with %s', async (_, change, says) => {
    const changed = [{ ...schemes[0], ...change }] as SignerFromUriOptions['schemes']
    const error = await refusal(signerFromUri('file:///k', { schemes: changed }))
    expect(error).toBeInstanceOf(TypeError)
    expect(error.message).toMatch(says)
  })

  it('cannot be given twice, or outside an array', async () => {
    const twice = [...schemes, ...schemes]
    expect(await refusal(signerFromUri('file:///k', { schemes: twice }))).toBeInstanceOf(TypeError)
    expect(await refusal(signerFromUri('file:///k', { schemes: {} as [] }))).toBeInstanceOf(
      TypeError,
    )
  })
})

describe('the command', () => {
  const uri = 'acme-vault:///agent?version=1'
  const byOption = ['--scheme', name]

  it.each([
    ['by option', byOption, {}],
    ['by variable', [], { COUNTERSIGN_SCHEMES: ` ${name}, ` }],
  ])('shows a key and signs with it when the package is named %s', async (_, args, variables) => {
    const setting = { cwd: project, env: { ...env, ...variables } }
    const inspected = await countersign(['inspect', uri, ...args, '--json'], setting)
    expect(inspected).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(inspected.stdout)).toMatchObject({ backend: 'acme-vault', alg: 'ES256' })

    const client = ['--client-id', 'c', '--audience', 'https://as.example']
    const made = await countersign(['assertion', uri, ...client, ...args], setting)
    expect(made).toMatchObject({ code: 0, stderr: '' })
    await jwtVerify(made.stdout.trim(), createPublicKey(ec(0).privateKey))
    expect(service.sessions.size).toBe(0)
  })

  it('says without the package which schemes there are, and how to add one', async () => {
    const { code, stderr, stdout } = await countersign(['inspect', uri], { cwd: project, env })
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/pkcs11:, in lower case\. To add .*, name the package with --scheme$/m)
  })

  it.each([
    './acme-vault',
    '../acme-vault',
    '/tmp/acme-vault',
    'file:///tmp/acme-vault/index.js',
    'https://acme.example/vault.js',
    'data:text/javascript,export const schemes = []',
    'node:fs',
    `${name}@1.0.0`,
    `${name}/index.js`,
    'C:\\acme-vault',
  ])('does not load %s, which is not the name of a package', async (named) => {
    const ended = await countersign(['inspect', uri, '--scheme', named], { cwd: project, env })
    expect(ended.code).toBe(2)
    expect(ended.stderr).toContain('--scheme takes the name of an installed package')
  })

  it('finds a package beside itself, whatever the current folder is', async () => {
    const args = ['inspect', uri, '--scheme', '@countersign/uri']
    const { code, stderr } = await countersign(args, { cwd: tmpdir(), env })
    expect(code).toBe(2)
    expect(stderr).toContain('The package @countersign/uri must export "schemes"')
  })

  it('says what to install, and what a package without schemes must export', async () => {
    const inspect = (named: string) =>
      countersign(['inspect', uri, '--scheme', named], { cwd: project, env })
    const missing = await inspect('@acme/countersign-missing')
    expect(missing.code).toBe(2)
    expect(missing.stderr).toContain('The package @acme/countersign-missing is not installed')

    const exporting = async (code: string, expected = 2) => {
      const folder = join(project, 'node_modules/acme-other')
      mkdirSync(folder, { recursive: true })
      writeFileSync(join(folder, 'package.json'), '{ "type": "module", "exports": "./index.js" }')
      writeFileSync(join(folder, 'index.js'), code)
      const ended = await inspect('acme-other')
      rmSync(folder, { recursive: true })
      expect(ended.code).toBe(expected)
      return ended.stderr
    }
    expect(await exporting('export default []')).toContain('must export "schemes"')
    expect(await exporting('export const schemes = [{}]')).toContain('must have a "name"')
    expect(await exporting('throw new Error("broken")', 3)).toContain('cannot be loaded')
  })
})
