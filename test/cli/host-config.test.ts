import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { type Host, hosts, readSnippet } from '../hosts/snippet.ts'
import { countersign } from './command.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-config-'))
afterAll(() => rmSync(folder, { recursive: true }))

const url = 'https://mcp.example.com/mcp'
const client = ['--client-id', 'billing-agent']
const key = 'awskms:///alias/billing-agent?region=eu-west-1'

const config = (host: Host, args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  countersign(['proxy', url, '--config', host, ...args], { env, cwd: folder })

/** Without white space, because the formatter breaks long lines of a page. */
const dense = (text: string) => text.replaceAll(/\s+/g, '')
const page = (file: string) =>
  dense(readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8'))

/** Reads the server of a snippet. */
async function entryFor(
  host: Host,
  args: readonly string[],
  env?: Readonly<Record<string, string>>,
) {
  const { code, stdout, said } = await config(host, args, env)
  expect(code, said).toBe(0)
  return readSnippet(host, stdout).entry
}

describe('countersign proxy --config', () => {
  it.each(hosts)('prints for %s a server with npx, the packages, the options', async (host) => {
    const { command, args, env } = await entryFor(host, ['--key', key, ...client])
    const packages = ['countersign', '@countersign/aws-kms', '@aws-sdk/client-kms']
    expect({ command, args, env }).toEqual({
      command: 'npx',
      args: ['-y', ...packages.flatMap((name) => ['-p', name]), 'countersign', 'proxy', url],
      env: { COUNTERSIGN_KEY: key, COUNTERSIGN_CLIENT_ID: 'billing-agent' },
    })
  })

  it.each(hosts)('prints for %s what docs/hosts.md shows', async (host) => {
    const options = ['--key', key, ...client, '--issuer', 'https://as.example.com']
    const { stdout } = await config(host, options)
    expect(page('docs/hosts.md')).toContain(dense(stdout))
    if (host === 'claude') expect(page('README.md')).toContain(dense(stdout))
  })

  it('names the server by its host', async () => {
    const args = ['proxy', 'http://127.0.0.1:3000/', '--config', 'cursor', '--key', key, ...client]
    const { stdout } = await countersign(args)
    expect(readSnippet('cursor', stdout).name).toBe('127-0-0-1-3000')
  })

  it.each([
    ['gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1', 'gcp-kms'],
    ['azurekms://vault.vault.azure.net/keys/k/0123456789abcdef0123456789abcdef', 'azure-key-vault'],
    ['pkcs11:token=t;object=k?module-path=/usr/lib/m.so&pin-source=file:/etc/pin', 'pkcs11'],
  ])('has the package of the backend of %s', async (uri, backend) => {
    const { args, env } = await entryFor('claude', ['--key', uri, ...client])
    expect(args).toContain(`@countersign/${backend}`)
    expect(env['COUNTERSIGN_KEY']).toBe(uri)
  })

  it('has absolute paths, and the options of the environment', async () => {
    writeFileSync(join(folder, 'key.pem'), '')
    const options = ['--key', 'key.pem', '--passphrase-file', 'passphrase']
    const { args, env } = await entryFor('gemini', options, {
      COUNTERSIGN_CLIENT_ID: 'billing-agent',
      COUNTERSIGN_ISSUER: 'https://as.example.com',
      COUNTERSIGN_CLIENT_ID_IN_BODY: '1',
    })
    expect(env).toEqual({
      COUNTERSIGN_KEY: pathToFileURL(join(folder, 'key.pem')).href,
      COUNTERSIGN_PASSPHRASE_FILE: join(folder, 'passphrase'),
      COUNTERSIGN_CLIENT_ID: 'billing-agent',
      COUNTERSIGN_ISSUER: 'https://as.example.com',
    })
    expect(args.at(-1)).toBe('--client-id-in-body')
  })

  it('has the variables that say where credentials are, and no credential', async () => {
    const { env } = await entryFor('codex', ['--key', key, ...client], {
      AWS_PROFILE: 'billing',
      AWS_SECRET_ACCESS_KEY: 'a-secret-key',
      COUNTERSIGN_PIN: '1234',
    })
    expect(env).toMatchObject({ AWS_PROFILE: 'billing' })
    expect(JSON.stringify(env)).not.toMatch(/a-secret-key|1234/)
  })

  it('needs no key with an agent', async () => {
    const { args, env } = await entryFor('vscode', ['--agent', 'billing'], {
      COUNTERSIGN_AGENT: '/run/agent.sock',
    })
    expect(args.slice(-4)).toEqual(['countersign', 'proxy', url, '--agent=billing'])
    expect(env).toEqual({ COUNTERSIGN_AGENT: '/run/agent.sock' })
  })

  it('a value with quotes and control characters is the same after it is read', async () => {
    const scope = 'a"b\\c\u007fd\te'
    for (const host of hosts) {
      const { env } = await entryFor(host, ['--key', key, ...client, '--scope', scope])
      expect(env['COUNTERSIGN_SCOPE']).toBe(scope)
    }
  })

  const pkcs11 = 'pkcs11:token=t;object=k?module-path=/usr/lib/m.so'
  it.each<[string, Host, readonly string[], string]>([
    ['a PIN', 'claude', ['--key', `${pkcs11}&pin-value=987654`], 'has the PIN in it'],
    [
      'a secret from standard input',
      'claude',
      ['--key', pkcs11, '--pin-file', '-'],
      'standard input',
    ],
    ['what the host would replace', 'gemini', ['--key', key, '--scope', '$HOME'], 'character $'],
    ['an unknown scheme', 'claude', ['--key', 'vault:///key'], 'not a key URI'],
  ])('refuses %s', async (_what, host, options, message) => {
    const { code, stdout, said } = await config(host, [...options, ...client])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(said).toContain(message)
    expect(said).not.toContain('987654')
  })

  it('refuses an unknown host and a missing client ID', async () => {
    const unknown = await countersign(['proxy', url, '--config', 'emacs', '--key', key, ...client])
    expect([unknown.code, unknown.stdout]).toEqual([2, ''])
    const noClient = await config('claude', ['--key', key])
    expect([noClient.code, noClient.stdout]).toEqual([2, ''])
  })
})
