import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { localSigner } from '@countersign/local'
import { expect, onTestFinished, test } from 'vitest'
import { countersign } from '../cli/command.ts'
import { startServers } from '../mcp/servers.ts'

test('countersign tools and call use bound tokens with --dpop, and are refused without', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-dpop-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = join(folder, 'key.pem')
  writeFileSync(key, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  const signer = await localSigner({ key: privateKey })
  const { as, mcp } = await startServers({ signer, dpop: 'nonce' })
  const options = ['--key', key, '--client-id', 'agent', '--issuer', as.issuer]

  const tools = await countersign(['tools', mcp.url, ...options, '--dpop'])
  expect(tools).toMatchObject({ code: 0, stderr: '' })
  expect(tools.stdout).toContain('whoami')
  const env = { COUNTERSIGN_DPOP: '1' }
  const call = await countersign(['call', mcp.url, 'whoami', ...options], { env })
  expect(call).toMatchObject({ code: 0, stdout: 'agent\n' })
  expect(mcp.dpop.proofs.length).toBeGreaterThan(3)

  const bearer = await countersign(['tools', mcp.url, ...options])
  expect(bearer.code).not.toBe(0)
  expect(bearer.stderr).toContain(
    'it accepts only tokens that are bound to a key; set the option "dpop"',
  )
}, 90_000)
