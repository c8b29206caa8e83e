import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { afterEach, describe, expect, it } from 'vitest'
import { countersign, demoBin } from '../cli/command.ts'
import { startFixtures } from '../cli/fixtures.ts'

const running: ChildProcess[] = []
afterEach(() => {
  for (const child of running.splice(0)) child.kill('SIGKILL')
})

/** Starts the demo, and evaluates the lines that it says to paste into a shell. */
async function keep(...args: readonly string[]) {
  const child = spawn(process.execPath, [demoBin, '--keep', ...args], {
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  running.push(child)
  const exports: string[] = []
  for await (const line of createInterface(child.stdout)) {
    if (line.startsWith('export ')) exports.push(line)
    if (line.includes('countersign call')) break
  }
  const print = 'for name in KEY CLIENT_ID ISSUER MCP_URL; do printenv COUNTERSIGN_$name; done'
  const shell = spawn('sh', ['-c', `${exports.join('\n')}\n${print}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  for await (const chunk of shell.stdout.setEncoding('utf8')) text += chunk
  const [key = '', clientId = '', issuer = '', mcpUrl = ''] = text.split('\n')
  return {
    child,
    key,
    mcpUrl,
    env: {
      COUNTERSIGN_KEY: key,
      COUNTERSIGN_CLIENT_ID: clientId,
      COUNTERSIGN_ISSUER: issuer,
      COUNTERSIGN_MCP_URL: mcpUrl,
    },
  }
}

describe.skipIf(process.platform === 'win32')('countersign-demo --keep', () => {
  it('prints the variables with which the command uses the running servers, until it is interrupted', async () => {
    const { child, key, mcpUrl, env } = await keep()
    const [doctor, token, tools, call] = await Promise.all([
      countersign(['doctor', '--json'], { env }),
      countersign(['token', '--json'], { env }),
      countersign(['tools'], { env }),
      countersign(['call', mcpUrl, 'whoami'], { env }),
    ])
    expect(doctor).toMatchObject({ code: 0, stderr: '' })
    const steps: { state: string }[] = JSON.parse(doctor.stdout)
    expect(new Set(steps.map(({ state }) => state))).toEqual(new Set(['ok']))
    expect(token.code).toBe(0)
    expect(JSON.parse(token.stdout)).toMatchObject({ token_type: 'bearer', scope: 'tools' })
    expect(tools).toMatchObject({ code: 0, stdout: expect.stringMatching(/^whoami {2}/) })
    expect(call).toMatchObject({ code: 0, stdout: 'demo-agent\n' })

    expect(existsSync(key)).toBe(true)
    child.kill('SIGINT')
    expect(await once(child, 'exit')).toEqual([0, null])
    expect(existsSync(key)).toBe(false)
    await expect(fetch(mcpUrl)).rejects.toThrow('fetch failed')
  })

  it('exports the key of --key', async () => {
    await using fixtures = await startFixtures()
    const { child, key, env } = await keep('--key', fixtures.key)
    expect(key).toBe(`file://${fixtures.key}`)
    expect(await countersign(['token'], { env })).toMatchObject({ code: 0, stderr: '' })
    child.kill('SIGTERM')
    await once(child, 'exit')
    expect(existsSync(fixtures.key)).toBe(true)
  })
})
