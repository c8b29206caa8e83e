import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { localSigner } from '@countersign/local'
import { decodeJwt } from 'jose'
import { describe, expect, onTestFinished, test } from 'vitest'
import { countersign } from '../cli/command.ts'
import { startServers } from '../mcp/servers.ts'
import { connectV1 } from '../proxy/hosts.ts'

/** A new key, and the path of its PEM file. */
async function writeKey() {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-dpop-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = join(folder, 'key.pem')
  writeFileSync(key, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  return { key, signer: await localSigner({ key: privateKey }) }
}

async function start(dpop: 'supported' | 'nonce' = 'supported') {
  const { key, signer } = await writeKey()
  const { as, mcp } = await startServers({ signer, dpop })
  return { as, mcp, options: ['--key', key, '--client-id', 'agent', '--issuer', as.issuer] }
}

describe('countersign tools and call', () => {
  test('use bound tokens with --dpop, and are refused without', async () => {
    const { mcp, options } = await start('nonce')
    const tools = await countersign(['tools', mcp.url, ...options, '--dpop'])
    expect(tools).toMatchObject({ code: 0, stderr: '' })
    expect(tools.stdout).toContain('whoami')
    const env = { COUNTERSIGN_DPOP: '1' }
    const call = await countersign(['call', mcp.url, 'whoami', ...options], { env })
    expect(call).toMatchObject({ code: 0, stdout: 'agent\n' })
    expect(mcp.dpop.proofs.length).toBeGreaterThan(3)

    const bearer = await countersign(['tools', mcp.url, ...options])
    expect(bearer.code).not.toBe(0)
    expect(bearer.stderr).toContain('it accepts only tokens that are bound to a key; give --dpop')
  }, 90_000)

  test('sign the proofs with the key of --dpop-key', async () => {
    const { mcp, options } = await start()
    const { key, signer } = await writeKey()
    const args = ['call', mcp.url, 'whoami', ...options, '--dpop-key', key]
    expect(await countersign(args)).toMatchObject({ code: 0, stdout: 'agent\n' })
    const [header = ''] = (mcp.dpop.proofs[0] ?? '').split('.')
    const { jwk } = JSON.parse(Buffer.from(header, 'base64url').toString())
    expect(jwk).toMatchObject({ x: signer.publicJwk.x })
  })
})

test('countersign proxy calls a tool with bound tokens, and a proof for each request', async () => {
  const { mcp, options } = await start('nonce')
  const setting = { url: mcp.url, env: {}, args: [...options, '--dpop'] }
  const client = await connectV1(setting)
  const before = mcp.dpop.proofs.length
  for (let n = 0; n < 3; n++) {
    expect(await client.callTool({ name: 'whoami' })).toMatchObject({
      content: [{ text: 'agent' }],
    })
  }
  // The proxy also opens the stream of the server.
  expect(mcp.dpop.proofs.length - before).toBeGreaterThanOrEqual(3)
  expect(new Set(mcp.dpop.proofs).size).toBe(mcp.dpop.proofs.length)
  await expect(connectV1({ ...setting, args: options })).rejects.toThrow(/give --dpop/)
}, 60_000)

describe('countersign token', () => {
  test('binds the token to the key of --dpop-key, and says so with --json', async () => {
    const { mcp, options } = await start('nonce')
    const { key, signer } = await writeKey()
    const env = { COUNTERSIGN_DPOP_KEY: key }
    const args = ['token', ...options, '--mcp', mcp.url, '--json']
    const { code, stdout, stderr } = await countersign(args, { env })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const { access_token, token_type, cnf } = JSON.parse(stdout)
    expect({ token_type, cnf }).toEqual({ token_type: 'dpop', cnf: { jkt: signer.kid } })
    expect(decodeJwt(access_token)['cnf']).toEqual(cnf)
  })

  test('requests no token with --dpop alone, because nobody could use it', async () => {
    const { as, mcp, options } = await start()
    const args = ['token', ...options, '--mcp', mcp.url, '--dpop']
    const { code, stdout, stderr } = await countersign(args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain('give --dpop-key')
    expect(as.counters.token).toBe(0)
  })
})

describe('countersign headers', () => {
  async function send(url: string, method: string, headers: Record<string, string>) {
    const response = await fetch(url, {
      method,
      headers: {
        accept: 'application/json, text/event-stream',
        'content-type': 'application/json',
        ...headers,
      },
      ...(method === 'POST' && {
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'ping' }),
      }),
    })
    const said = /error="(\w+)"/.exec(response.headers.get('www-authenticate') ?? '')?.[1]
    return [response.status, said]
  }

  test('prints a bound token and a proof, which is valid for one request of one method', async () => {
    const { mcp, options } = await start()
    const args = ['headers', mcp.url, ...options, '--dpop']
    const { code, stdout, stderr } = await countersign(args)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const headers = JSON.parse(stdout)
    expect(Object.keys(headers)).toEqual(['Authorization', 'DPoP'])
    expect(headers.Authorization).toMatch(/^DPoP /)
    expect(await send(mcp.url, 'GET', headers)).toEqual([401, 'invalid_dpop_proof'])
    expect(await send(mcp.url, 'POST', headers)).toEqual([200, undefined])
    expect(await send(mcp.url, 'POST', headers)).toEqual([401, 'invalid_dpop_proof'])

    const other = await countersign([...args, '--method', 'DELETE'])
    expect(decodeJwt(JSON.parse(other.stdout).DPoP)).toMatchObject({ htm: 'DELETE', htu: mcp.url })
  })

  test('puts the nonce of --dpop-nonce into the proof', async () => {
    const { mcp, options } = await start()
    mcp.dpop.requireNonce('first')
    const args = ['headers', mcp.url, ...options, '--resource', mcp.url, '--dpop']
    const without = JSON.parse((await countersign(args)).stdout)
    expect(await send(mcp.url, 'POST', without)).toEqual([401, 'use_dpop_nonce'])
    const printed = JSON.parse((await countersign([...args, '--dpop-nonce', 'first'])).stdout)
    expect(await send(mcp.url, 'POST', printed)).toEqual([200, undefined])
  })

  test.each([
    ['for Bazel, which sends them more than once', ['--format', 'bazel', '--dpop'], {}, 'Bazel'],
    [
      'for Claude Code, which sends them more than once',
      ['--dpop'],
      { CLAUDE_CODE_MCP_SERVER_URL: 'https://mcp.example.com/mcp' },
      'Claude Code',
    ],
    ['with a nonce alone', ['--dpop-nonce', 'a'], {}, 'needs --dpop or --dpop-key'],
    ['with a line break as nonce', ['--dpop', '--dpop-nonce', 'a\nb'], {}, 'is not a nonce'],
    ['with a quotation mark as nonce', ['--dpop', '--dpop-nonce', '"a"'], {}, 'is not a nonce'],
    ['for what is not a method', ['--dpop', '--method', 'GET /'], {}, 'must be an HTTP method'],
  ])('prints no proof %s', async (_when, given, env, expected) => {
    const { mcp, options } = await start()
    const args = ['headers', ...(given.includes('bazel') ? [] : [mcp.url]), ...options, ...given]
    const { code, stdout, stderr } = await countersign(args, { env })
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(expected)
  })

  test.each(['headers', 'proxy'])('%s takes no --dpop with --agent', async (name) => {
    const args = [name, 'https://mcp.example.com/mcp', '--agent', 'billing', '--dpop']
    const { code, stderr } = await countersign(args)
    expect(code).toBe(2)
    expect(stderr).toContain('The configuration of the agent decides')
  })
})
