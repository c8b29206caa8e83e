// @ts-check
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { jwks } from '@countersign/core'
import { startServers } from '@countersign/demo'
import { localSigner } from '@countersign/local'

const folder = mkdtempSync(join(tmpdir(), 'countersign-example-'))
process.once('exit', () => rmSync(folder, { recursive: true }))
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const keyFile = join(folder, 'key.pem')
writeFileSync(keyFile, privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 })

const servers = await startServers({
  client_id: 'example-agent',
  token_endpoint_auth_method: 'private_key_jwt',
  jwks: jwks(await localSigner({ key: privateKey })),
})

const config = join(folder, 'agent.json')
const billing = {
  key: pathToFileURL(keyFile).href,
  clientId: 'example-agent',
  issuer: servers.issuer,
  scopes: ['tools'],
  resources: [servers.mcpUrl],
}
writeFileSync(config, JSON.stringify({ clients: { billing } }), { mode: 0o600 })

const env = { ...process.env, COUNTERSIGN_AGENT: join(folder, 'agent.sock') }
const command = join(
  dirname(createRequire(import.meta.url).resolve('countersign/package.json')),
  'dist/bin.js',
)
const agent = spawn(process.execPath, [command, 'agent', '--config', config], {
  env,
  stdio: ['ignore', 'pipe', 'inherit'],
})
try {
  const [line] = await once(agent.stdout, 'data', { signal: AbortSignal.timeout(30_000) })
  console.log(String(line).trim())
  const program = fileURLToPath(new URL('./program.js', import.meta.url))
  const run = () => promisify(execFile)(process.execPath, [program, servers.mcpUrl], { env })
  for (const { stdout } of await Promise.all([run(), run()])) {
    assert.match(stdout, /called a tool/)
    console.log(stdout.trim())
  }
} finally {
  agent.kill()
  await servers.close()
}
