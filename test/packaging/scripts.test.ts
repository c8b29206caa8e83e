import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest'
import { unsupportedNode } from '../../scripts/node-version.mjs'
import { repositoryUrl } from '../../scripts/pack.mjs'
import { findHeaders } from '../../scripts/prepare.mjs'
import { root } from '../../scripts/workspace.mjs'
import { secretsIn } from '../support/secrets.js'

const folder = mkdtempSync(join(tmpdir(), 'countersign-scripts-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
afterEach(() => vi.unstubAllEnvs())

describe('npm test', () => {
  const run = promisify(execFile)
  const npmTest = (...args: string[]) => [join(root, 'scripts/run.mjs'), 'test', ...args]
  const env = { ...process.env, COUNTERSIGN_PREPARED: '1', COUNTERSIGN_WYCHEPROOF: '' }

  test('prints the sums as its last line', async () => {
    const args = npmTest('--lane', 'wycheproof')
    const { stdout } = await run(process.execPath, args, { env: { ...env, CI: '' } })
    expect(stdout).toMatch(/\nwycheproof +0 +0 +1 .*missing: COUNTERSIGN_WYCHEPROOF/)
    expect(stdout).toMatch(/\n0 passed, 0 failed, 1 skipped\n$/)
  })

  test('fails under CI=true when a lane is missing', async () => {
    const args = npmTest('--lane', 'wycheproof')
    const running = run(process.execPath, args, { env: { ...env, CI: 'true' } })
    await expect(running).rejects.toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/\n0 passed, 1 failed, 0 skipped\n$/),
    })
  })

  test('lists its lanes when it is asked for an unknown one', async () => {
    const running = run(process.execPath, npmTest('--lane', 'nonsense'), { env })
    await expect(running).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/no lane "nonsense".*check, unit/),
    })
  })
})

describe('an addon is compiled with the headers', () => {
  const install = (prefix: string) => {
    mkdirSync(join(prefix, 'bin'), { recursive: true })
    mkdirSync(join(prefix, 'include/node'), { recursive: true })
    writeFileSync(join(prefix, 'bin/node'), '')
    return join(prefix, 'bin/node')
  }

  test('of the running Node', () => {
    vi.stubEnv('npm_config_nodedir', join(folder, 'nowhere'))
    const prefix = join(folder, 'with-headers')
    const node = install(prefix)
    writeFileSync(join(prefix, 'include/node/node_api.h'), '')
    expect(findHeaders(node)).toBe(prefix)
    vi.stubEnv('npm_config_nodedir', prefix)
    expect(findHeaders(install(join(folder, 'without-headers')))).toBe(prefix)
  })

  test.runIf(existsSync('/usr/include/node/node_api.h'))(
    'of the system, when the running Node has none beside it',
    () => {
      vi.stubEnv('npm_config_nodedir', undefined)
      expect(findHeaders(install(join(folder, 'without-headers')))).toBe('/usr')
    },
  )
})

describe('a release', () => {
  test.each([
    ['https://github.com/acme/countersign.git', 'https://github.com/acme/countersign'],
    ['https://user:token@github.com/acme/countersign', 'https://github.com/acme/countersign'],
    ['git@github.com:acme/countersign.git', 'https://github.com/acme/countersign'],
    [
      'ssh://git@gitlab.example.com/acme/countersign.git\n',
      'https://gitlab.example.com/acme/countersign',
    ],
    ['/srv/git/countersign', undefined],
    ['file:///srv/git/countersign', undefined],
    ['https://localhost/countersign', undefined],
  ])('names the repository of the remote %s as %s', (remote, url) => {
    expect(repositoryUrl(remote)).toBe(url)
  })

  test('publishes nothing without a git remote that the packages can name', async () => {
    const repository = join(folder, 'without-remote')
    const run = promisify(execFile)
    await run('git', ['init', '--quiet', repository])
    const env = { ...process.env, COUNTERSIGN_PREPARED: '1', GIT_DIR: join(repository, '.git') }
    const args = [join(root, 'scripts/run.mjs'), 'release', '--dry-run']
    await expect(run(process.execPath, args, { env })).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^Nothing was published: .*origin/),
    })
  })
})

test('only a Node.js that is too old is refused', () => {
  const wanted: string = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).engines.node
  expect(unsupportedNode('20.18.3', wanted)).toMatch(
    /needs Node\.js 20\.19\.0 or newer, and this is 20\.18/,
  )
  expect(unsupportedNode('20.19.0', wanted)).toBeUndefined()
  expect(unsupportedNode('100.0.0', wanted)).toBeUndefined()
})

test.each([
  ['a private key in PEM', '-----BEGIN EC PRIVATE KEY-----'],
  ['a private member of a JWK', '{"kty":"EC","d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}'],
  ['a complete JWT', 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZ2VudCJ9.DtEhU3ljbEg8L38VWAfUAqOyKAM6'],
  ['a bearer token', 'authorization: Bearer GMcgcvuGkvBWZk2ceWf8tA'],
  ['an access token', '{"access_token":"GMcgcvuGkvBWZk2ceWf8tA","token_type":"Bearer"}'],
  ['a client secret', 'client_secret=correcthorse'],
])('the output of the demo is searched for %s', (kind, text) => {
  expect(secretsIn(text)).toEqual([kind])
})

test('output that the demo may show is not mistaken for a secret', () => {
  const shown = [
    '{"alg":"ES256","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"}',
    '{"access_token":"GMcg…","token_type":"Bearer","expires_in":600}',
    'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZ2VudCJ9.…',
  ]
  expect(secretsIn(shown.join('\n'))).toEqual([])
})
