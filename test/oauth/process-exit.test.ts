import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import type { Script } from '../servers/scripted-server.js'
import { inTurn, tokenResponse, tooManyRequests } from '../servers/token-responses.js'
import { closing } from './fixtures.ts'

const here = fileURLToPath(new URL('.', import.meta.url))

/** Runs a program with a token source, and returns what it printed and how long it ran. */
async function run(token: Script, program: string): Promise<{ stdout: string; seconds: number }> {
  const { url } = closing(await startScriptedAuthorizationServer({ token }))
  const source = `
    import { clientSecretBasic, externalAssertion, tokenSource } from '@countersign/oauth'
    const started = performance.now()
    process.on('exit', () => console.log('after', (performance.now() - started) / 1000))
    const options = { issuer: ${JSON.stringify(url)}, clientId: 'agent' }
    const authentication = clientSecretBasic('secret')
    const source = tokenSource({ ...options, authentication })
    ${program}`
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module', '--eval', source],
    { cwd: here, timeout: 20_000 },
  )
  const [, printed = '', seconds] = /^([\s\S]*)after ([\d.]+)\n$/.exec(stdout) ?? []
  return { stdout: printed.trim(), seconds: Number(seconds) }
}

const busy = () => tooManyRequests('10')

describe('a process with a token source exits', () => {
  it('when it has its token', async () => {
    const { stdout, seconds } = await run(
      () => tokenResponse(),
      'console.log(await source.token())',
    )
    expect(stdout).toBe('access-token')
    expect(seconds).toBeLessThan(2)
  })

  it('when no caller waits for the next attempt', async () => {
    const { stdout, seconds } = await run(
      busy,
      `const reason = await source.token({ signal: AbortSignal.timeout(200) }).catch((e) => e.name)
       console.log(reason)`,
    )
    expect(stdout).toBe('TimeoutError')
    expect(seconds).toBeLessThan(4)
  })

  it('when only the timer of a deadline is left', async () => {
    const { stdout, seconds } = await run(
      () => tokenResponse(),
      `const never = externalAssertion(() => new Promise(() => {}))
       void tokenSource({ ...options, authentication: never }).token()
       console.log(await source.token())`,
    )
    expect(stdout).toBe('access-token')
    expect(seconds).toBeLessThan(4)
  })

  it('but not while a caller waits for the next attempt', async () => {
    const answers = inTurn(
      () => tooManyRequests('1'),
      () => tokenResponse(),
    )
    const { stdout } = await run(answers, 'source.token().then(console.log)')
    expect(stdout).toBe('access-token')
  })
})
