import { stripVTControlCharacters } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { secretsIn } from '../support/secrets.js'
import { countersign } from './command.ts'
import { openScene, type Scene } from './scene.ts'

let scene: Scene
beforeAll(async () => {
  scene = await openScene()
})
afterAll(() => scene[Symbol.asyncDispose]())

describe('countersign demo', () => {
  it('tells the whole story in 80 columns, without a secret and without an escape sequence', async () => {
    const { code, stdout: story, stderr } = await countersign(['demo'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(story).toBe(stripVTControlCharacters(story))
    expect(story.split('\n').filter((line) => line.length > 80)).toEqual([])
    expect(secretsIn(story)).toEqual([])
    for (const part of [
      /^ {2}1 {2}The public half of a key is registered/m,
      / key +ES256, made for this run, never written down\n/,
      /POST \/mcp +401\n +resource_metadata +http/,
      /token_endpoint +http:\/\/127\.0\.0\.1:\d+\/token\n/,
      /typ +client-authentication\+jwt\n/,
      /exp +[\d:]+ UTC, 60 s after iat\n/,
      /access_token +eyJ…\(redacted\)\n/,
      /whoami answers +demo-agent\n/,
      /signatures +1, in [\d.]+ ms\n +token requests +1\n/,
    ]) {
      expect(story).toMatch(part)
    }
  })

  it('has the same lines in colour', async () => {
    const [plain, colourful] = await Promise.all([
      countersign(['demo']),
      countersign(['demo'], { env: { FORCE_COLOR: '1' } }),
    ])
    const stripped = stripVTControlCharacters(colourful.stdout)
    expect(stripped).not.toBe(colourful.stdout)
    expect(stripped.split('\n').filter((line) => line.length > 80)).toEqual([])
    expect(stripped.split('\n')).toHaveLength(plain.stdout.split('\n').length)
  })

  it('is told with the key of --key', async () => {
    const { code, stdout } = await countersign(['demo', '--key', scene.key])
    expect(code).toBe(0)
    expect(stdout).toContain(`kid                    ${scene.kid}\n`)
    expect(stdout).toMatch(/ key +ES256, yours\n/)
  })

  it('says in one sentence why it failed', async () => {
    const noNetwork = `
      import { Server } from 'node:net'
      Server.prototype.listen = () => { throw new Error('no network here') }`
    const preload = `data:text/javascript,${encodeURIComponent(noNetwork)}`
    const { code, stdout, stderr } = await countersign(['demo'], { node: ['--import', preload] })
    expect({ code, stdout }).toEqual({ code: 70, stdout: '' })
    expect(stderr).toMatch(/^countersign: no network here; .+\n$/)
  })
})
