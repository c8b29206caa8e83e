import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { agentSocketPath, listenOnSocket } from '@countersign/agent/internal'
import { expect, onTestFinished, test } from 'vitest'

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'cs-socket-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

async function listen(path: string): Promise<Server> {
  const server = createServer((socket) => socket.end())
  await listenOnSocket(server, path)
  onTestFinished(() => void server.close())
  return server
}

const internal = fileURLToPath(new URL('../../packages/agent/dist/internal.js', import.meta.url))

/** Listens in another process, which says that it does, or why it cannot. It ends when it is told to `die`. */
async function listenElsewhere(path: string) {
  const program = `
    const { listenOnSocket } = await import(${JSON.stringify(internal)})
    const server = (await import('node:net')).createServer((socket) => socket.end())
    try {
      await listenOnSocket(server, ${JSON.stringify(path)})
      console.log('listens')
    } catch (error) {
      console.log(error.code, error.message)
    }`
  const args = ['--input-type=module', '-e', program]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const closed = once(child, 'close')
  const die = async () => {
    child.kill('SIGKILL')
    await closed
  }
  onTestFinished(die)
  const [said] = await once(child.stdout.setEncoding('utf8'), 'data')
  return { said: String(said).trim(), die }
}

test('the socket has the mode 0600, and its folder is made with 0700', async () => {
  const folder = join(newFolder(), 'runtime')
  const path = join(folder, 'agent.sock')
  const mask = process.umask(0)
  try {
    await listen(path)
  } finally {
    process.umask(mask)
  }
  expect(statSync(folder).mode & 0o777).toBe(0o700)
  expect(statSync(path).mode & 0o777).toBe(0o600)
})

test.each([
  [
    'a folder that is open to others',
    (folder: string) => chmodSync(folder, 0o750),
    /open to other users; run chmod 700/,
  ],
  [
    'a symbolic link to a folder',
    (folder: string) => {
      mkdirSync(`${folder}-2`, { mode: 0o700 })
      onTestFinished(() => rmSync(`${folder}-2`, { recursive: true }))
      rmSync(folder, { recursive: true })
      symlinkSync(`${folder}-2`, folder)
    },
    /is a symbolic link/,
  ],
  [
    'a folder below one that others can write to',
    (folder: string) => chmodSync(join(folder, '..'), 0o777),
    /other users can replace it/,
  ],
  [
    'a symbolic link as the socket',
    (folder: string) => symlinkSync('/nowhere', join(folder, 'agent.sock')),
    /is a symbolic link; remove it/,
  ],
  [
    'a file as the socket',
    (folder: string) => writeFileSync(join(folder, 'agent.sock'), ''),
    /is not a socket; remove it/,
  ],
])('%s is refused', async (_what, prepare, message) => {
  const folder = join(newFolder(), 'runtime')
  mkdirSync(folder, { mode: 0o700 })
  prepare(folder)
  await expect(listen(join(folder, 'agent.sock'))).rejects.toThrow(message)
})

test('a folder of another user is refused', async () => {
  const folder = join(newFolder(), 'runtime')
  mkdirSync(folder, { mode: 0o700 })
  const isRoot = process.getuid?.() === 0
  if (isRoot) chownSync(folder, 12345, 12345)
  await expect(listen(join(isRoot ? folder : '/etc', 'agent.sock'))).rejects.toThrow(
    /belongs to another user/,
  )
})

test('a socket that is open to others is refused, even while a process listens there', async () => {
  const path = join(newFolder(), 'agent.sock')
  await listen(path)
  chmodSync(path, 0o666)
  await expect(listen(path)).rejects.toThrow(/is open to other users; remove it/)
})

test('a path that is too long for a socket is refused', async () => {
  await expect(listen(join(newFolder(), 'x'.repeat(100)))).rejects.toThrow(/more than 103 octets/)
})

test('the socket of a live process is not taken over', async () => {
  const path = join(newFolder(), 'agent.sock')
  await listen(path)
  await expect(listen(path)).rejects.toThrow(/another process listens on/)
})

test('of eight processes that find the socket of a killed one, one takes it over', async () => {
  const path = join(newFolder(), 'agent.sock')
  for (let round = 0; round < 2; round++) {
    const killed = await listenElsewhere(path)
    await killed.die()
    expect(existsSync(path)).toBe(true)
    const all = await Promise.all(Array.from({ length: 8 }, () => listenElsewhere(path)))
    const said = all.map((one) => one.said)
    expect(said.filter((line) => line === 'listens')).toHaveLength(1)
    expect(
      said.filter((line) => /^ERR_AGENT_SOCKET another process listens/.test(line)),
    ).toHaveLength(7)
    await Promise.all(all.map(({ die }) => die()))
  }
}, 60_000)

test('the default path is in XDG_RUNTIME_DIR, and COUNTERSIGN_AGENT replaces it', () => {
  const XDG_RUNTIME_DIR = '/run/user/1000'
  expect(agentSocketPath(undefined, { XDG_RUNTIME_DIR })).toBe(
    '/run/user/1000/countersign/agent.sock',
  )
  const env = { XDG_RUNTIME_DIR, COUNTERSIGN_AGENT: 'unix:///tmp/a.sock' }
  expect(agentSocketPath(undefined, env)).toBe('/tmp/a.sock')
  expect(agentSocketPath('/tmp/b.sock', env)).toBe('/tmp/b.sock')
  expect(() => agentSocketPath('b.sock', env)).toThrow(/must be an absolute path/)
})
