import { stripVTControlCharacters } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { countersign, demoBin, type Ended, type Setting } from '../cli/command.ts'
import { type Fixtures, startFixtures } from '../cli/fixtures.ts'
import { secretsIn } from '../support/secrets.js'

let fixtures: Fixtures
beforeAll(async () => {
  fixtures = await startFixtures()
})
afterAll(() => fixtures[Symbol.asyncDispose]())

const demo = (args: readonly string[] = [], setting: Setting = {}): Promise<Ended> =>
  countersign(args, { ...setting, bin: demoBin })

describe('countersign-demo', () => {
  it('shows the whole flow in 80 columns, without a secret and without an escape sequence', async () => {
    const { code, stdout, stderr } = await demo()
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toBe(stripVTControlCharacters(stdout))
    expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([])
    expect(secretsIn(stdout)).toEqual([])
    for (const part of [
      /^ {2}1 {2}The public key is registered/m,
      / key +ES256, made for this run\n/,
      /POST \/mcp +401\n +resource_metadata +http/,
      /token_endpoint +http:\/\/127\.0\.0\.1:\d+\/token\n/,
      /typ +client-authentication\+jwt\n/,
      /exp +[\d:]+ UTC, 60 s after iat\n/,
      /access_token +eyJ…\(redacted\)\n/,
      /whoami answers +demo-agent\n/,
      /signatures +1, in [\d.]+ ms\n +token requests +1\n/,
    ]) {
      expect(stdout).toMatch(part)
    }
  })

  it('has the same lines in colour', async () => {
    const [plain, colourful] = await Promise.all([demo(), demo([], { env: { FORCE_COLOR: '1' } })])
    const stripped = stripVTControlCharacters(colourful.stdout)
    expect(stripped).not.toBe(colourful.stdout)
    expect(stripped.split('\n').filter((line) => line.length > 80)).toEqual([])
    expect(stripped.split('\n')).toHaveLength(plain.stdout.split('\n').length)
  })

  it('signs with the key of --key', async () => {
    const { code, stdout } = await demo(['--key', fixtures.key])
    expect(code).toBe(0)
    expect(stdout).toContain(`kid                    ${fixtures.kid}\n`)
    expect(stdout).toMatch(/ key +ES256, yours\n/)
  })

  it('says in one sentence why it failed', async () => {
    const noNetwork = `
      import { Server } from 'node:net'
      Server.prototype.listen = () => { throw new Error('no network here') }`
    const preload = `data:text/javascript,${encodeURIComponent(noNetwork)}`
    const failed = await demo([], { node: ['--import', preload] })
    expect(failed).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'countersign-demo: no network here\n',
    })
  })

  it('refuses an option that it does not know, and shows its help', async () => {
    const refused = await demo(['--kepe'])
    expect(refused).toMatchObject({ code: 2, stdout: '' })
    expect(refused.stderr).toMatch(/^countersign-demo: .*'--kepe'.*countersign-demo --help\n$/)
    const { code, stdout } = await demo(['--help'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/--keep +leave both servers running/)
  })
})
