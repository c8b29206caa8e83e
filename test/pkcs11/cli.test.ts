import { createPublicKey } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { jwtVerify } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { countersign, demoBin, type Ended, type Setting } from '../cli/command.ts'
import { type Pair, startPair } from '../servers/pair.js'
import { secretsIn } from '../support/secrets.js'
import { createShim } from '../support/shim.js'
import { createSoftHsm, type SoftHsm, type Token } from '../support/softhsm.js'

const clientId = 'hsm-agent'

let hsm: SoftHsm
let token: Token
let uri: string
let servers: Pair

beforeAll(async () => {
  hsm = createSoftHsm()
  token = await hsm.createToken('agents')
  await token.generateKey({ type: 'EC:prime256v1', label: 'billing agent' })
  uri = `pkcs11:token=agents;object=billing%20agent?module-path=${hsm.module}`
  const published = await command(['jwks', uri])
  servers = await startPair({
    client_id: clientId,
    token_endpoint_auth_method: 'private_key_jwt',
    jwks: JSON.parse(published.stdout),
  })
}, 60_000)

afterAll(async () => {
  await servers?.close()
  hsm?.remove()
})

/** Runs the command with the PIN in the environment, and finds it in nothing that is printed. */
async function command(args: readonly string[], setting: Setting = {}): Promise<Ended> {
  const env = { ...hsm.env, COUNTERSIGN_PIN: token.pin, ...setting.env }
  const ended = await countersign(args, { ...setting, env })
  expect(ended.stdout + ended.stderr).not.toContain(token.pin)
  return ended
}

describe('a key on a token', () => {
  test('is inspected, and nothing but its public half is shown', async () => {
    const { code, stdout, stderr } = await command(['inspect', uri, '--json'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const shown = JSON.parse(stdout)
    expect(shown).toMatchObject({
      backend: 'pkcs11',
      keyType: 'EC P-256',
      alg: 'ES256',
      signature: { octets: 64, verified: true },
    })
    expect(secretsIn(stdout)).toEqual([])
  })

  test('makes an assertion that its public key verifies', async () => {
    const args = ['assertion', uri, '--client-id', clientId, '--issuer', 'https://as.example']
    const [{ stdout }, inspected] = await Promise.all([
      command(args),
      command(['inspect', uri, '--json']),
    ])
    const key = createPublicKey(JSON.parse(inspected.stdout).publicPem)
    const { payload } = await jwtVerify(stdout.trim(), key)
    expect(payload).toMatchObject({ iss: clientId, aud: 'https://as.example' })
  })

  test('gets a token, and calls a tool of an MCP server', async () => {
    const { url } = servers.mcpServer
    const client = ['--key', uri, '--client-id', clientId]
    const got = await command(['token', '--mcp', url, '--json', ...client])
    expect(got).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(got.stdout)).toMatchObject({ token_type: 'bearer' })
    const called = await command(['call', url, 'whoami', ...client])
    expect(called).toMatchObject({ code: 0, stdout: `${clientId}\n`, stderr: '' })
  })

  test('shows the demo', async () => {
    const { code, stdout } = await command(['--key', uri], { bin: demoBin })
    expect(code).toBe(0)
    expect(stdout).toMatch(/whoami answers +demo-agent\n/)
  })
})

describe('the PIN', () => {
  test('comes from a file that only its owner can read', async () => {
    const file = join(hsm.folder, 'pin')
    writeFileSync(file, `${token.pin}\n`, { mode: 0o600 })
    const env = { COUNTERSIGN_PIN: '' }
    expect(await command(['inspect', uri, '--pin-file', file], { env })).toMatchObject({ code: 0 })
    expect(await command(['inspect', `${uri}&pin-source=file:${file}`], { env })).toMatchObject({
      code: 0,
    })
  })

  test('is asked for, and without a terminal the refusal says how to give it', async () => {
    const ended = await command(['inspect', uri], { env: { COUNTERSIGN_PIN: '' } })
    expect(ended).toMatchObject({ code: 2, stdout: '' })
    expect(ended.stderr).toMatch(
      /^countersign: The key needs its PIN; give it with --pin-file or COUNTERSIGN_PIN, .*\n$/,
    )
  })

  test('is left to the PIN pad of a token that has one', async () => {
    const shim = createShim(hsm)
    const key = uri.replace(hsm.module, shim.module)
    const env = {
      COUNTERSIGN_PKCS11_SHIM: String(process.env['COUNTERSIGN_PKCS11_SHIM']),
      COUNTERSIGN_PKCS11_SHIM_MODULE: hsm.module,
      COUNTERSIGN_PIN: '',
    }
    await command(['inspect', key], { env })
    expect(shim.count('C_Login')).toBe(0)
    // CKF_PROTECTED_AUTHENTICATION_PATH
    shim.set('C_GetTokenInfo.flags', 0x100)
    await command(['inspect', key], { env })
    expect(shim.count('C_Login')).toBe(1)
  })

  test('is not in the error when it is wrong, or when it is in a URI that is refused', async () => {
    const other = await hsm.createToken('others')
    await other.generateKey({ type: 'EC:prime256v1', label: 'key' })
    const key = `pkcs11:token=others;object=key?module-path=${hsm.module}`
    const wrong = await command(['inspect', key, '--verbose'], {
      env: { COUNTERSIGN_PIN: 'wrong-pin-of-others' },
    })
    expect(wrong).toMatchObject({ code: 3, stdout: '' })
    expect(wrong.stderr).toMatch(/PIN/)
    expect(wrong.stderr).not.toContain('wrong-pin-of-others')
    expect(await other.flags()).toContain('user PIN count low')
    const args = ['inspect', `${key}&pin-value=wrong-pin-of-others&nonsense=1`, '--verbose']
    const refused = await command(args)
    expect(refused).toMatchObject({ code: 2, stdout: '' })
    expect(refused.stderr).not.toContain('wrong-pin-of-others')
  })
})

test('a missing key ends with exit code 3 and a list of the keys', async () => {
  const ended = await command(['inspect', uri.replace('billing%20agent', 'nobody'), '--json'])
  expect(ended).toMatchObject({ code: 3, stdout: '' })
  const { error } = JSON.parse(ended.stderr)
  expect(error).toEqual({
    code: 'ERR_SIGNER_KEY_NOT_FOUND',
    message: expect.stringContaining('billing agent'),
  })
})
