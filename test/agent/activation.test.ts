import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { activationDescriptor } from '@countersign/agent/server'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { bin } from '../cli/command.ts'
import { endTree } from '../support/processes.js'
import { ask, type Fixtures, startFixtures } from './fixtures.ts'

let fixtures: Fixtures
beforeAll(async () => {
  fixtures = await startFixtures()
})
afterAll(() => fixtures[Symbol.asyncDispose]())

/**
 * Listens on a socket and starts the command with it as the file descriptor 3, as systemd does. The process that listens
 * waits for the command, and accepts no connection itself.
 */
async function startActivated(listen: string, socket: string): Promise<string> {
  const command = [process.execPath, bin, 'agent', '--config', fixtures.config]
  const program = `
    process.umask(0o177)
    const server = require('node:net').createServer().listen(${JSON.stringify(listen)}, () => {
      const args = ['-c', 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', 'sh', ...process.argv.slice(1)]
      const stdio = ['ignore', 'inherit', 'inherit', server._handle.fd]
      require('node:child_process').spawnSync('sh', args, { stdio, timeout: 60_000 })
      process.exit()
    })`
  const child = spawn(process.execPath, ['-e', program, ...command, '--socket', socket, '--json'], {
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  onTestFinished(async () => {
    endTree(child.pid ?? 0)
    await ended
  })
  let text = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  const listens = new Promise<void>((resolve) => {
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      if (text.endsWith('}\n')) resolve()
    })
  })
  await Promise.race([listens, ended])
  return text
}

test('the agent takes the socket that systemd opened', async () => {
  const path = join(fixtures.folder, 'activated.sock')
  const { socket, pid } = JSON.parse(await startActivated(path, path))
  expect(socket).toBe(path)
  expect((await ask(path, '/healthz')).json['pid']).toBe(pid)
})

test('a socket of systemd that is not at the path of the agent is refused', async () => {
  const path = join(fixtures.folder, 'elsewhere.sock')
  expect(await startActivated(path, join(fixtures.folder, 'expected.sock'))).toMatch(
    /The socket of systemd is not .*expected\.sock.*; set ListenStream/,
  )
})

test('the variables of systemd are for the process that they name, and for no subprocess', () => {
  const env = (pid: number, count: string) => ({
    ...{ LISTEN_PID: String(pid), LISTEN_FDS: count, LISTEN_FDNAMES: 'agent', HOME: '/' },
  })
  const own = env(process.pid, '1')
  expect(activationDescriptor(own)).toBe(3)
  expect(own).toEqual({ HOME: '/' })
  expect(activationDescriptor(env(1, '1'))).toBeUndefined()
  expect(() => activationDescriptor(env(process.pid, '2'))).toThrow(/passes 2 sockets/)
})
