import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { parseKeyUri } from '@countersign/uri'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import manifest from '../../packages/cli/package.json' with { type: 'json' }
import { listenOnLoopback } from '../servers/loopback.js'
import { keyPair } from '../support/key-pairs.js'
import { bin, countersign } from './command.ts'
import { type Fixtures, startFixtures } from './fixtures.ts'

let fixtures: Fixtures
beforeAll(async () => {
  fixtures = await startFixtures()
})
afterAll(() => fixtures[Symbol.asyncDispose]())

const names = ['inspect', 'jwks', 'assertion', 'token', 'tools', 'call', 'doctor', 'completion']

describe('help', () => {
  it('lists every command, on standard output when it was asked for', async () => {
    const { code, stdout, stderr } = await countersign(['--help'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    for (const name of names) expect(stdout).toMatch(new RegExp(`^ {2}${name} `, 'm'))
    expect(stdout).not.toMatch(/^ {2}complete /m)
  })

  it('is shown on standard error, with exit code 2, when no command was given', async () => {
    const { code, stdout, stderr } = await countersign([])
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^Usage: countersign /)
  })

  it.each(names)('of %s shows examples of this command, and the exit codes', async (name) => {
    const { code, stdout } = await countersign([name, '--help'])
    expect(code).toBe(0)
    expect(stdout).toMatch(new RegExp(`Examples:\n  # .+\n  [^\n]*countersign ${name}`))
    expect(stdout).toMatch(/Exit codes:\n {2}0 {4}done\n {2}1 [\s\S]*\n {2}130 {2}interrupted\n$/)
  })

  it('suggests the right command for a misspelled name', async () => {
    const ended = await countersign(['help', 'doctr'])
    expect(ended).toMatchObject({ code: 2, stdout: '' })
    expect(ended.stderr).toMatch(/^countersign: Unknown command 'doctr' \(Did you mean doctor\?\)/)
    const known = await countersign(['help', 'doctor'])
    expect(known.stdout).toBe((await countersign(['doctor', '--help'])).stdout)
  })

  it('names the version of the package', async () => {
    const ended = await countersign(['--version'])
    expect(ended).toMatchObject({ code: 0, stdout: `${manifest.version}\n` })
  })
})

describe('a wrong command line', () => {
  it.each([
    ['an unknown command', ['insect'], /Unknown command 'insect' \(Did you mean inspect\?\)/],
    ['an unknown option', ['inspect', '--nonsense'], /Unknown option '--nonsense'/],
    ['a value of an unknown option', ['inspect', '-p1234'], /Unknown option '-p';/],
    ['a missing argument', ['call', 'https://mcp.example'], /Missing required argument 'tool'/],
    ['a timeout that is none', ['inspect', '--timeout', '0'], /above 0 and up to 600/],
    ['no key', ['inspect'], /No key was given; .*COUNTERSIGN_KEY/],
    ['a key URI of no backend', ['inspect', 'vault:x'], /This is not a key URI/],
    ['no client ID', ['token', '--key', 'x', '--issuer', 'https://as.example'], /--client-id is/],
    [
      'an issuer without TLS',
      ['token', '--key', 'x', '--client-id', 'x', '--issuer', 'http://as.example'],
      /neither https nor on loopback/,
    ],
    ['an unknown shell', ['completion', 'tcsh'], /Allowed choices are bash, zsh, fish/],
  ])('is refused with 2 and one line: %s', async (_what, args, message) => {
    const { code, stdout, stderr } = await countersign(args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(message)
    expect(stderr).toMatch(/^countersign: .+\n$/)
  })

  it('is an object with code and message with --json', async () => {
    const { stderr } = await countersign(['inspect', '--nonsense', '--json'])
    expect(JSON.parse(stderr)).toEqual({
      error: { code: 'ERR_USAGE', message: expect.stringContaining('--nonsense') },
    })
  })

  it('is not repeated as far as it may be a secret', async () => {
    const pem = String(keyPair('P-256').privateKey.export({ type: 'pkcs8', format: 'pem' }))
    const lines = pem.trim().split('\n')
    for (const args of [
      ['inspect', '--pin=correcthorse'],
      ['inspect', pem],
      [pem],
      [`pkcs11:token=t;object=k?module-path=/m&pin-value=correcthorse`],
      ['inspect', `pkcs11:token=t;object=k?module-path=/m&pin-value=correcthorse&nonsense=1`],
      ['call', 'https://mcp.example', 'x', '{"pin": correcthorse}', '-k', 'x'],
    ]) {
      const { code, stdout, stderr } = await countersign([...args, '--verbose'])
      expect([code, stdout]).toEqual([2, ''])
      expect(stderr).not.toContain('correcthorse')
      expect(stderr).not.toContain(lines[1])
    }
  })
})

describe('a key named in the form of its cloud', () => {
  const arn = 'arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab'
  const version = 'projects/p/locations/eu/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1'
  it.each([
    [arn, `awskms:///${arn}`],
    ['alias/agent', 'awskms:///alias/agent?region=eu-west-1'],
    [
      '1234abcd-12ab-34cd-56ef-1234567890ab',
      'awskms:///1234abcd-12ab-34cd-56ef-1234567890ab?region=eu-west-1',
    ],
    [version, `gcpkms://${version}`],
    [`//cloudkms.googleapis.com/${version}`, `gcpkms://${version}`],
    ['https://v.vault.azure.net/keys/agent', 'azurekms://v.vault.azure.net/keys/agent'],
    [
      'https://h.managedhsm.azure.net/keys/agent/01',
      'azurekms://h.managedhsm.azure.net/keys/agent/01',
    ],
  ])('is answered with the URI to write: %s', async (name, uri) => {
    for (const [args, env] of [
      [['inspect', name], {}],
      [['jwks', '--key', name], {}],
      [
        ['assertion', '--client-id', 'x', '--issuer', 'https://as.example'],
        { COUNTERSIGN_KEY: name },
      ],
    ] as const) {
      const ended = await countersign(args, { env, cwd: fixtures.folder })
      expect(ended).toMatchObject({ code: 2, stdout: '' })
      expect(ended.stderr).toContain(`not a key URI; write ${uri}`)
    }
    expect(parseKeyUri(uri).scheme).toBe(uri.slice(0, uri.indexOf(':')))
  })

  it('is a path where there is such a file', async () => {
    mkdirSync(join(fixtures.folder, 'alias'))
    writeFileSync(join(fixtures.folder, 'alias/agent'), readFileSync(fixtures.key), { mode: 0o600 })
    const ended = await countersign(['inspect', 'alias/agent'], { cwd: fixtures.folder })
    expect(ended).toMatchObject({ code: 0, stderr: '' })
  })
})

it('a missing region ends with 2, and says how to give it', async () => {
  const env = { HOME: fixtures.folder, AWS_EC2_METADATA_DISABLED: 'true' }
  const ended = await countersign(['inspect', 'awskms:///alias/agent'], { env })
  expect(ended).toMatchObject({ code: 2, stdout: '' })
  expect(ended.stderr).toMatch(
    /region is not known; add \?region=eu-west-1 or another one to the key/,
  )
  const doctor = ['doctor', '--key', 'awskms:///alias/agent', '--client-id', 'x']
  const diagnosed = await countersign([...doctor, '--issuer', 'https://as.example'], { env })
  expect(diagnosed).toMatchObject({ code: 2, stdout: expect.stringMatching(/^✗ key store/) })
})

describe('an error', () => {
  it('ends with 3 and names the key that is not there', async () => {
    const ended = await countersign(['inspect', '/nowhere/key.pem', '--json'])
    expect(ended).toMatchObject({ code: 3, stdout: '' })
    expect(JSON.parse(ended.stderr).error).toEqual({
      code: 'ERR_SIGNER_KEY_NOT_FOUND',
      message: 'The key file "/nowhere/key.pem" does not exist',
    })
  })

  it.each([
    ['--verbose', ['inspect', '/nowhere/key.pem', '--verbose'], {}],
    ['DEBUG=countersign', ['inspect', '/nowhere/key.pem'], { DEBUG: 'countersign' }],
  ])('shows its stack, and that of its cause, with %s only', async (_what, args, env) => {
    const { stderr } = await countersign(args, { env })
    expect(stderr).toMatch(/^countersign: .+\nSignerError: .+\n {4}at /)
    expect(stderr).toMatch(/\ncaused by: Error: ENOENT/)
    const quiet = await countersign(['inspect', '/nowhere/key.pem'])
    expect(quiet.stderr.split('\n')).toHaveLength(2)
  })
})

describe('the environment', () => {
  it('is overridden by options, and an empty variable counts as not set', async () => {
    const env = { COUNTERSIGN_KEY: '/nowhere/key.pem' }
    const [given, empty] = await Promise.all([
      countersign(['inspect', '--key', fixtures.key], { env }),
      countersign(['inspect'], { env: { COUNTERSIGN_KEY: '' } }),
    ])
    expect([given.code, empty.code]).toEqual([0, 2])
    expect(empty.stderr).toMatch(/No key was given/)
  })

  it('allows shared files by 1, and by nothing else', async () => {
    const shared = join(fixtures.folder, 'shared.pem')
    const pem = keyPair('P-256').privateKey.export({ type: 'pkcs8', format: 'pem' })
    writeFileSync(shared, pem, { mode: 0o644 })
    const codes = ['1', '0', '', 'false'].map(async (value) => {
      const env = { COUNTERSIGN_ALLOW_SHARED_FILES: value, COUNTERSIGN_TIMEOUT: '' }
      return (await countersign(['inspect', shared], { env })).code
    })
    expect(await Promise.all(codes)).toEqual([0, 3, 3, 3])
  })

  it('bounds the wait by COUNTERSIGN_TIMEOUT', async () => {
    await using silent = await silentServer()
    const env = { ...fixtures.env, COUNTERSIGN_ISSUER: silent.origin, COUNTERSIGN_TIMEOUT: '1' }
    const ended = await countersign(['token', '--json'], { env })
    expect(ended).toMatchObject({ code: 4, stdout: '' })
    expect(JSON.parse(ended.stderr).error.code).toBe('ERR_OAUTH_TIMEOUT')
  })
})

describe('a wait', () => {
  it('is printed on standard error after a second, but not with --json', async () => {
    await using silent = await silentServer()
    const args = ['token', '--issuer', silent.origin, '--timeout', '2']
    const [plain, json] = await Promise.all([
      countersign(args, { env: fixtures.env }),
      countersign([...args, '--json'], { env: fixtures.env }),
    ])
    expect(plain.said).toMatch(/^Getting an access token …\ncountersign: .+\n$/)
    expect(Object.keys(JSON.parse(json.said))).toEqual(['error'])
  })

  it('ends with SIGINT: exit code 130, one line, and soon', async () => {
    await using silent = await silentServer()
    const child = spawn(process.execPath, [bin, 'token', '--issuer', silent.origin], {
      env: { ...fixtures.env },
    })
    await silent.asked
    const started = performance.now()
    child.kill('SIGINT')
    let stderr = ''
    child.stderr.on('data', (text) => {
      stderr += text
    })
    expect(await once(child, 'close')).toEqual([130, null])
    expect(performance.now() - started).toBeLessThan(3000)
    expect(stderr).toBe('countersign: interrupted by SIGINT\n')
  })

  it('for an MCP server ends with SIGINT, too', async () => {
    await using silent = await silentServer()
    const child = spawn(process.execPath, [bin, 'tools', silent.origin], {
      env: { ...fixtures.env },
    })
    await silent.asked
    child.kill('SIGINT')
    expect(await once(child, 'close')).toEqual([130, null])
  })
})

describe('a warning', () => {
  /** Has something warned of once the command listens. */
  function warn(message: string, type = 'Warning'): readonly string[] {
    const source = `process.on('newListener', (event) => {
      if (event === 'warning') setImmediate(() => process.emitWarning('${message}', '${type}'))
    })`
    return ['--import', `data:text/javascript,${encodeURIComponent(source)}`]
  }

  it('is one line, as an error is; about versions there is none', async () => {
    const args = ['jwks', fixtures.key]
    const [text, json, version, verbose] = await Promise.all([
      countersign(args, { node: warn('TLS is off') }),
      countersign([...args, '--json'], { node: warn('TLS is off') }),
      countersign(args, { node: warn('too old', 'DeprecationWarning') }),
      countersign([...args, '--verbose'], { node: warn('too old', 'DeprecationWarning') }),
    ])
    expect(text.stderr).toBe('countersign: TLS is off\n')
    expect(JSON.parse(json.stderr)).toEqual({ warning: { message: 'TLS is off' } })
    expect(version.stderr).toBe('')
    expect(verbose.stderr).toBe('countersign: too old\n')
  })
})

describe('output', () => {
  it('has escape sequences only on a terminal or with FORCE_COLOR, and never with NO_COLOR', async () => {
    const [pipe, forced, refused] = await Promise.all([
      countersign(['inspect', fixtures.key]),
      countersign(['inspect', fixtures.key], { env: { FORCE_COLOR: '1' } }),
      countersign(['inspect', fixtures.key], { env: { FORCE_COLOR: '1', NO_COLOR: '1' } }),
    ])
    expect(pipe.stdout).toBe(stripVTControlCharacters(pipe.stdout))
    expect(forced.stdout).not.toBe(stripVTControlCharacters(forced.stdout))
    expect(refused.stdout).toBe(stripVTControlCharacters(refused.stdout))
  })

  it('may find its pipe closed', async () => {
    const child = spawn(process.execPath, [bin, 'inspect', fixtures.key], {
      env: {},
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    child.stdout.destroy()
    let stderr = ''
    child.stderr.on('data', (text) => {
      stderr += text
    })
    expect(await once(child, 'close')).toEqual([0, null])
    expect(stderr).toBe('')
  })
})

const passphrase = 'correct horse battery staple'

/** Writes a private key that its passphrase encrypts. */
function encryptedKey(): string {
  const path = join(fixtures.folder, 'encrypted.pem')
  const pem = keyPair('P-256').privateKey.export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase,
  })
  writeFileSync(path, pem, { mode: 0o600 })
  return path
}

function namedPipe(name: string): string {
  const path = join(fixtures.folder, name)
  execFileSync('mkfifo', ['-m', '600', path], { timeout: 10_000 })
  return path
}

describe('a passphrase', () => {
  let encrypted: string
  beforeAll(() => {
    encrypted = encryptedKey()
    writeFileSync(join(fixtures.folder, 'passphrase'), `${passphrase}\n`, { mode: 0o600 })
    writeFileSync(join(fixtures.folder, 'shared'), `${passphrase}\n`, { mode: 0o644 })
  })

  it.each([
    ['the environment', [], { COUNTERSIGN_PASSPHRASE: passphrase }, ''],
    ['a file', ['--passphrase-file', 'passphrase'], {}, ''],
    ['a file named in the environment', [], { COUNTERSIGN_PASSPHRASE_FILE: 'passphrase' }, ''],
    ['a shared file', ['--passphrase-file', 'shared', '--allow-shared-files'], {}, ''],
    ['standard input', ['--passphrase-file', '-'], {}, `${passphrase}\n`],
  ])('comes from %s', async (_what, args, env: Record<string, string>, input) => {
    const setting = { cwd: fixtures.folder, env, input }
    const ended = await countersign(['inspect', encrypted, ...args], setting)
    expect(ended).toMatchObject({ code: 0, stderr: '' })
  })

  it.skipIf(process.platform === 'win32')(
    'comes from a named pipe, whenever it is written',
    async () => {
      const pipe = namedPipe('passphrase-pipe')
      const running = countersign(['inspect', encrypted, '--passphrase-file', pipe])
      const writer = await open(pipe, 'w')
      await new Promise((resolve) => setTimeout(resolve, 300))
      await writer.write(`${passphrase}\n`)
      await writer.close()
      expect(await running).toMatchObject({ code: 0, stderr: '' })
    },
  )

  it.each([
    [
      'missing, without a terminal',
      [],
      {},
      2,
      /needs its passphrase; give it with --passphrase-file or/,
    ],
    ['in a file that others can read', ['--passphrase-file', 'shared'], {}, 2, /chmod 600/],
    ['in no file', ['--passphrase-file', 'nowhere'], {}, 2, /does not exist/],
    ['wrong', [], { COUNTERSIGN_PASSPHRASE: 'wrong horse' }, 3, /cannot be decrypted/],
  ])('is told about when it is %s', async (_what, args, env: Record<string, string>, code, why) => {
    const setting = { cwd: fixtures.folder, env }
    const ended = await countersign(['inspect', encrypted, '--verbose', ...args], setting)
    expect(ended).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(why) })
    expect(ended.stderr).not.toMatch(/correct horse|wrong horse/)
  })
})

/** A server that takes requests and does not answer them. */
async function silentServer() {
  let heard = () => {}
  const asked = new Promise<void>((resolve) => {
    heard = resolve
  })
  const { origin, close } = await listenOnLoopback(() => heard())
  return { origin, asked, [Symbol.asyncDispose]: close }
}

describe('a command that cannot continue', () => {
  it('ends at the first signal although it waits for standard input', async () => {
    const args = ['call', 'http://127.0.0.1:1/mcp', 'add', '-', '--client-id', 'x', '--key', 'x']
    const child = spawn(process.execPath, [bin, ...args], { stdio: ['pipe', 'ignore', 'pipe'] })
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    setTimeout(() => child.kill('SIGTERM'), 3000)
    const [code] = await once(child, 'close')
    expect({ code, said }).toEqual({ code: 130, said: 'countersign: interrupted by SIGTERM\n' })
  }, 20_000)

  it.skipIf(process.platform === 'win32').each(['SIGTERM', 'SIGINT'] as const)(
    'ends at the first %s although nobody writes to the pipe of --pin-file',
    async (signal) => {
      const pipe = namedPipe(`nobody-writes-${signal}`)
      const uri = 'pkcs11:token=t;object=k?module-path=/m'
      const child = spawn(process.execPath, [bin, 'inspect', uri, '--pin-file', pipe], {
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      let said = ''
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        said += text
      })
      // The test's own end of the pipe opens once the command has opened the other one.
      const writer = await open(pipe, 'w')
      child.kill(signal)
      const [code] = await once(child, 'close')
      await writer.close()
      expect({ code, said }).toEqual({ code: 130, said: `countersign: interrupted by ${signal}\n` })
    },
    20_000,
  )

  it.skipIf(process.platform === 'win32')(
    'ends at the first signal although a pipe of --passphrase-file has no writer at all',
    async () => {
      const pipe = namedPipe('no-writer')
      const child = spawn(process.execPath, [
        bin,
        'inspect',
        encryptedKey(),
        '--passphrase-file',
        pipe,
      ])
      setTimeout(() => child.kill('SIGTERM'), 3000)
      expect(await once(child, 'close')).toEqual([130, null])
    },
    20_000,
  )

  it.runIf(process.platform === 'linux')(
    'does not end with 0 when what it printed was not written',
    async () => {
      const full = openSync('/dev/full', 'w')
      const child = spawn(process.execPath, [bin, '--version'], { stdio: ['ignore', full, 'pipe'] })
      closeSync(full)
      let said = ''
      child.stderr?.setEncoding('utf8').on('data', (text: string) => {
        said += text
      })
      const [code] = await once(child, 'close')
      expect({ code, said }).toEqual({
        code: 70,
        said: 'countersign: The output cannot be written (ENOSPC); check that there is space\n',
      })
    },
  )
})
