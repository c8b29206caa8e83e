import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest'
import { findHeaders } from '../../scripts/lib/headers.mjs'
import { nodeComplaint } from '../../scripts/lib/node-version.mjs'
import { root } from '../../scripts/lib/root.mjs'
import { scriptLane } from '../../scripts/lib/script-lane.mjs'
import { secretsIn } from '../../scripts/lib/secrets.mjs'
import { settle, table } from '../../scripts/lib/summary.mjs'
import { countVitest } from '../../scripts/lib/vitest.mjs'

const folder = mkdtempSync(join(tmpdir(), 'countersign-lanes-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
afterEach(() => vi.unstubAllEnvs())

let count = 0

function program(source: string): string {
  const file = join(folder, `program-${count++}.mjs`)
  writeFileSync(file, source)
  return file
}

const lane = (source: string, timeoutSeconds = 20) =>
  scriptLane(`trial-${count}`, { script: relative(root, program(source)), timeoutSeconds })()

const reporting = (report: unknown): string => `
  import { writeFileSync } from 'node:fs'
  writeFileSync(process.env.COUNTERSIGN_LANE_REPORT, ${JSON.stringify(JSON.stringify(report))})
`

describe('a lane that is a script', () => {
  test('has the counts it reports', async () => {
    const report = { passed: 3, failed: 0, skipped: 1, notes: ['skipped: x'] }
    expect(await lane(reporting(report))).toEqual(report)
  })

  test('is missing when it says so, and when its script does not exist', async () => {
    const report = { passed: 0, failed: 0, skipped: 0, missing: 'no such service' }
    expect(await lane(reporting(report))).toEqual(report)
    const absent = await scriptLane('absent', { script: 'test/absent.mjs', timeoutSeconds: 1 })()
    expect(absent.missing).toBe('test/absent.mjs does not exist')
  })

  test.each([
    ['writes no report', ''],
    ['reports nothing at all', reporting({ passed: 0, failed: 0, skipped: 0 })],
    ['reports no numbers', reporting({ passed: '3', failed: 0, skipped: 0 })],
    [
      'ends with an exit code it does not explain',
      `${reporting({ passed: 3, failed: 0, skipped: 0 })}; process.exit(3)`,
    ],
  ])('fails when it %s', async (_what, source) => {
    expect((await lane(source)).failed).toBe(1)
  })

  test('is ended and fails when it takes too long', async () => {
    const counts = await lane('setInterval(() => {}, 1000)', 1)
    expect(counts.failed).toBeGreaterThan(0)
    expect(counts.notes).toContain('not finished after 1 s')
  })
})

test('a test file that does not load counts as a failure', () => {
  const report = {
    testResults: [
      {
        name: 'good.test.ts',
        status: 'passed',
        assertionResults: [
          { fullName: 'a', status: 'passed' },
          { fullName: 'b', status: 'skipped' },
        ],
      },
      { name: 'broken.test.ts', status: 'failed', assertionResults: [] },
    ],
  }
  expect(countVitest(report)).toEqual({
    passed: 1,
    failed: 1,
    skipped: 1,
    notes: ['skipped: b', 'failed to run: broken.test.ts'],
  })
})

test('a missing lane is skipped, and fails where everything has to be there', () => {
  const counts = { passed: 0, failed: 0, skipped: 0, missing: 'why' }
  expect(settle(counts, false)).toMatchObject({ failed: 0, skipped: 1 })
  expect(settle(counts, true)).toMatchObject({ failed: 1, skipped: 0 })
})

test('the table gives the reason beside a missing lane', () => {
  const counts = { passed: 0, failed: 0, skipped: 1, missing: 'no such service' }
  expect(table([{ name: 'lane', counts, milliseconds: 1234 }])).toEqual([
    'lane  passed  failed  skipped   time',
    'lane       0       0        1  1.2 s  missing: no such service',
  ])
})

describe('npm test', () => {
  const run = promisify(execFile)
  const npmTest = (...args: string[]) => [join(root, 'scripts/test.mjs'), ...args]
  const env = { ...process.env, COUNTERSIGN_PREPARED: '1', COUNTERSIGN_WYCHEPROOF: '' }

  test('ends with the plain sum as last line', async () => {
    const args = npmTest('--lane', 'wycheproof')
    const { stdout } = await run(process.execPath, args, { env: { ...env, CI: '' } })
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

  test('names its lanes when asked for one it does not have', async () => {
    const running = run(process.execPath, npmTest('--lane', 'nonsense'), { env })
    await expect(running).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/no lane "nonsense".*check, unit/),
    })
  })
})

test('an interrupted command ends the children of its children', async () => {
  const grandchild = program(`console.log('up'); setTimeout(() => {}, 60_000)`)
  const child = program(`
    import { spawn } from 'node:child_process'
    spawn(process.execPath, [${JSON.stringify(grandchild)}], { stdio: 'inherit' })
  `)
  const command = program(`
    import { run } from ${JSON.stringify(join(root, 'scripts/lib/child.mjs'))}
    await run(process.execPath, [${JSON.stringify(child)}])
  `)
  const running = spawn(process.execPath, [command], { stdio: ['ignore', 'pipe', 'ignore'] })
  await once(running.stdout, 'data')
  running.kill('SIGINT')
  // The pipe ends when the last process that holds it has gone.
  await Promise.all([
    expect(once(running, 'exit')).resolves.toEqual([130, null]),
    once(running.stdout, 'end'),
  ])
}, 20_000)

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

test('only a Node that is too old is complained about', () => {
  expect(nodeComplaint('20.18.3')).toMatch(/needs Node 20\.19\.0 or newer, and this is Node 20\.18/)
  expect(nodeComplaint('20.19.0')).toBeUndefined()
  expect(nodeComplaint('100.0.0')).toBeUndefined()
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

test('what the demo may show is not taken for a secret', () => {
  const shown = [
    '{"alg":"ES256","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"}',
    '{"access_token":"GMcg…","token_type":"Bearer","expires_in":600}',
    'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZ2VudCJ9.…',
  ]
  expect(secretsIn(shown.join('\n'))).toEqual([])
})
