import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jwks } from '@countersign/core'
import { signerFromUri } from '@countersign/uri'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { ask } from '../agent/fixtures.ts'
import { startAgentProcess } from '../agent/process.ts'
import { bin } from '../cli/command.ts'
import {
  type AuthorizationServer,
  startAuthorizationServer,
} from '../servers/authorization-server.js'
import { endTree, isAlive } from '../support/processes.js'
import { createShim, type Shim } from '../support/shim.js'
import { createSoftHsm, type SoftHsm } from '../support/softhsm.js'
import { until } from '../support/until.js'

const clientId = 'hsm-agent'
let hsm: SoftHsm
let shim: Shim
let authorizationServer: AuthorizationServer
let folder: string
let socket: string
let config: string
let pin: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cs-agent-hsm-'))
  socket = join(folder, 'agent.sock')
  config = join(folder, 'agent.json')
  hsm = createSoftHsm()
  const token = await hsm.createToken('agent')
  await token.generateKey({ type: 'EC:prime256v1', label: 'key' })
  shim = createShim(hsm)
  pin = token.pin
  const pinFile = join(folder, 'pin')
  writeFileSync(pinFile, token.pin, { mode: 0o600 })
  const key = `pkcs11:token=agent;object=key?module-path=${shim.module}&pin-source=file:${pinFile}`
  await using signer = await signerFromUri(key)
  authorizationServer = await startAuthorizationServer({
    clients: [
      { client_id: clientId, token_endpoint_auth_method: 'private_key_jwt', jwks: jwks(signer) },
    ],
  })
  const client = { key, clientId, issuer: authorizationServer.issuer }
  writeFileSync(config, JSON.stringify({ clients: { one: client, two: client } }))
})

afterAll(async () => {
  await authorizationServer?.close()
  hsm?.remove()
  rmSync(folder, { recursive: true, force: true })
})

const start = () =>
  startAgentProcess(['--config', config, '--socket', socket], {
    env: process.env as Record<string, string>,
  })

test('two clients with one key cost one login, and get tokens', async () => {
  shim.forget()
  const agent = await start()
  for (const name of ['one', 'two']) {
    expect((await ask(socket, `/clients/${name}/token`, {})).json).toMatchObject({
      access_token: expect.any(String),
    })
  }
  expect(shim.count('C_Login')).toBe(1)
  expect(await agent.end()).toBe(0)
})

test('on a terminal, the PIN is asked for once for all clients, and not again when the file changes', async () => {
  const key = `pkcs11:token=agent;object=key?module-path=${shim.module}`
  const client = { key, clientId, issuer: authorizationServer.issuer }
  const file = join(folder, 'without-pin.json')
  writeFileSync(file, JSON.stringify({ clients: { one: client, two: client } }))
  shim.forget()
  const path = join(folder, 'terminal.sock')
  const command = [process.execPath, bin, 'agent', '--config', file, '--socket', path]
  const quoted = command.map((word) => `'${word}'`).join(' ')
  const terminal = spawn('script', ['--quiet', '--command', quoted, '/dev/null'])
  onTestFinished(() => endTree(terminal.pid ?? 0))
  let shown = ''
  terminal.stdout.setEncoding('utf8').on('data', (text: string) => {
    shown += text
  })
  await until(() => shown.includes('PIN of the key: '), 20)
  terminal.stdin.write(`${pin}\r`)
  await until(() => shown.includes('listens on'), 20)
  writeFileSync(file, JSON.stringify({ clients: { one: client, two: client, three: client } }))
  const answers = async () => (await ask(path, '/clients/three/token', {})).json
  await expect.poll(answers, { timeout: 20_000 }).toMatchObject({ token_type: 'Bearer' })
  expect(shown.match(/PIN of the key/g)).toHaveLength(1)
  expect(shown).not.toContain(pin)
  expect(shim.count('C_Login')).toBe(1)
})

test('SIGKILL during a signature leaves no process of the module, and the next start takes the socket over', async () => {
  const agent = await start()
  shim.forget()
  shim.set('C_Sign.hang')
  const asked = ask(socket, '/clients/one/assertion', {}).catch(() => 'cut')
  await until(() => shim.count('C_Sign') > 0, 20)
  const child = shim.calls().at(-1)?.pid ?? 0
  expect(isAlive(child)).toBe(true)
  expect(await agent.end('SIGKILL')).toBe('SIGKILL')
  expect(await asked).toBe('cut')
  // The module hangs in native code, so only the end of its parent can end it.
  await until(() => !isAlive(child), 20)
  shim.clear('C_Sign.hang')
  await start()
  expect((await ask(socket, '/clients/one/token', {})).status).toBe(200)
})
