import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify, stripVTControlCharacters } from 'node:util'
import { describe, expect, it } from 'vitest'
import { runDemo } from '../../examples/demo/run-demo.js'
import { secretsIn } from '../../scripts/lib/secrets.mjs'

async function told(color: boolean): Promise<string> {
  let output = ''
  await runDemo({
    color,
    write(text) {
      output += text
    },
  })
  return output
}

describe('the demo', () => {
  it('tells the whole story in 80 columns, without a secret and without an escape sequence', async () => {
    const story = await told(false)
    expect(story).toBe(stripVTControlCharacters(story))
    expect(story.split('\n').filter((line) => line.length > 80)).toEqual([])
    expect(secretsIn(story)).toEqual([])
    for (const part of [
      /^ {2}1 {2}A key is made/m,
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
    const story = await told(true)
    const plain = stripVTControlCharacters(story)
    expect(plain).not.toBe(story)
    expect(plain.split('\n').filter((line) => line.length > 80)).toEqual([])
    expect(plain.split('\n')).toHaveLength((await told(false)).split('\n').length)
  })
})

describe('the program of the demo', () => {
  const program = fileURLToPath(new URL('../../examples/demo/index.js', import.meta.url))

  it('says in one sentence why it failed, with exit code 1', async () => {
    const noNetwork = `
      import { Server } from 'node:net'
      Server.prototype.listen = () => { throw new Error('no network here') }`
    const preload = `data:text/javascript,${encodeURIComponent(noNetwork)}`
    const run = promisify(execFile)(process.execPath, ['--import', preload, program])
    await expect(run).rejects.toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'The demo failed while starting the servers: no network here\n',
    })
  })
})
