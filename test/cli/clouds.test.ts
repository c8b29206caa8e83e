import { createPublicKey } from 'node:crypto'
import { jwtVerify } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startAwsKms } from '../servers/aws-kms.js'
import { startAzureKeyVault } from '../servers/azure-key-vault.js'
import { startGcpKms } from '../servers/gcp-kms.js'
import { type Pair, startPair } from '../servers/pair.js'
import { keyPair } from '../support/key-pairs.js'
import { secretsIn } from '../support/secrets.js'
import { countersign, type Ended } from './command.ts'

const clientId = 'cloud-agent'

/** A cloud with one good key, the first P-256 one, and one that is disabled. */
interface Cloud {
  readonly backend: string
  readonly sdk: string
  /** As it is shown, and in JSON. */
  readonly protection: readonly [string | undefined, string | undefined]
  readonly uri: string
  readonly disabled: string
  readonly absent: string
  readonly env: Readonly<Record<string, string>>
  /** What of the environment must not be printed. */
  readonly secret: string | undefined
  close(): Promise<void>
}

const clouds: Readonly<Record<string, () => Promise<Cloud>>> = {
  async 'AWS KMS'() {
    const aws = await startAwsKms()
    const disabled = aws.createKey('P-256', { nth: 1 })
    aws.disableKey(disabled)
    aws.setAlias('alias/agent', aws.createKey('P-256', { nth: 0 }))
    return {
      backend: 'aws-kms',
      sdk: '@aws-sdk/client-kms',
      protection: [undefined, undefined],
      uri: 'awskms:///alias/agent',
      disabled: `awskms:///${disabled.arn}`,
      absent: 'awskms:///alias/nobody',
      env: aws.env,
      secret: aws.env['AWS_SECRET_ACCESS_KEY'],
      close: aws.close,
    }
  },
  async 'Google Cloud KMS'() {
    const gcp = await startGcpKms()
    const uriOf = (name: string) => `gcpkms://${name}?endpoint=${gcp.url}`
    const disabled = `${gcp.createKey({ kind: 'P-256', nth: 1 })}/cryptoKeyVersions/1`
    gcp.setState(disabled, 'DISABLED')
    return {
      backend: 'gcp-kms',
      sdk: '@google-cloud/kms',
      protection: ['HSM of the key service', 'hsm'],
      uri: uriOf(gcp.createKey({ kind: 'P-256', nth: 0, protectionLevel: 'HSM' })),
      disabled: uriOf(disabled),
      absent: uriOf(disabled.replace(/1$/, '9')),
      env: gcp.env,
      secret: undefined,
      close: gcp.close,
    }
  },
  async 'Azure Key Vault'() {
    const azure = await startAzureKeyVault()
    const uriOf = (id: string) => id.replace('https:', 'azurekms:')
    const disabled = azure.createKey('disabled', { kind: 'P-256', nth: 1 })
    azure.updateKey(disabled.id, { enabled: false })
    return {
      backend: 'azure-key-vault',
      sdk: '@azure/keyvault-keys',
      protection: ['software of the key service', 'software'],
      uri: uriOf(azure.createKey('agent', { kind: 'P-256', nth: 0 }).id),
      disabled: uriOf(disabled.id),
      absent: uriOf(disabled.versionlessId.replace('disabled', 'nobody')),
      env: azure.env,
      secret: azure.env['COUNTERSIGN_AZURE_TOKEN'],
      close: azure.close,
    }
  },
}

const { publicKey, privateKey } = keyPair('P-256', 0)

describe.each(Object.keys(clouds))('a key in %s', (name) => {
  let cloud: Cloud
  let servers: Pair

  beforeAll(async () => {
    const start = clouds[name]
    if (start === undefined) throw new Error(`no cloud ${name}`)
    cloud = await start()
    const { stdout } = await command(['jwks', cloud.uri])
    servers = await startPair({
      client_id: clientId,
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: JSON.parse(stdout),
    })
  })

  afterAll(async () => {
    await servers?.close()
    await cloud?.close()
  })

  async function command(args: readonly string[], env = {}): Promise<Ended> {
    const ended = await countersign(args, { env: { ...cloud.env, ...env } })
    if (cloud.secret !== undefined) {
      expect(ended.stdout + ended.stderr).not.toContain(cloud.secret)
    }
    return ended
  }

  it('is inspected: backend, type, algorithm, public half, and a signature that verifies', async () => {
    const [plain, json] = await Promise.all([
      command(['inspect', cloud.uri]),
      command(['inspect', cloud.uri, '--json']),
    ])
    expect([plain.code, json.code, plain.stderr, json.stderr]).toEqual([0, 0, '', ''])
    expect(plain.stdout).toMatch(new RegExp(`^backend +${cloud.backend}\nkey +EC P-256\n`))
    const shown = JSON.parse(json.stdout)
    expect(shown).toMatchObject({
      backend: cloud.backend,
      keyType: 'EC P-256',
      alg: 'ES256',
      signature: { octets: 64, verified: true },
    })
    const shownLine = /^protection +(.+)$/m.exec(plain.stdout)?.[1]
    expect([shownLine, shown.protection]).toEqual(cloud.protection)
    const expected = createPublicKey(privateKey).export({ format: 'jwk' })
    expect(shown.publicJwk).toMatchObject(expected)
    expect(secretsIn(plain.stdout + json.stdout)).toEqual([])
  })

  it('makes an assertion, gets a token, and calls a tool', async () => {
    const client = ['--key', cloud.uri, '--client-id', clientId]
    const { issuer } = servers.authorizationServer
    const { url } = servers.mcpServer
    const [assertion, token, tool] = await Promise.all([
      command(['assertion', ...client, '--issuer', issuer]),
      command(['token', ...client, '--mcp', url, '--json']),
      command(['call', url, 'whoami', ...client, '--issuer', issuer]),
    ])
    await expect(
      jwtVerify(assertion.stdout.trim(), publicKey, { audience: issuer, issuer: clientId }),
    ).resolves.toBeDefined()
    expect(JSON.parse(token.stdout)).toMatchObject({ token_type: 'bearer', scope: 'tools' })
    expect(tool).toMatchObject({ code: 0, stdout: `${clientId}\n`, stderr: '' })
  })

  it('ends with 3 when it is disabled, with what to do', async () => {
    const ended = await command(['inspect', cloud.disabled, '--json'])
    expect(ended).toMatchObject({ code: 3, stdout: '' })
    expect(JSON.parse(ended.stderr).error).toMatchObject({
      code: 'ERR_SIGNER_KEY_DISABLED',
      message: expect.stringMatching(/enable|version/),
    })
  })

  it('ends with 3 when there is none by its name', async () => {
    const ended = await command(['inspect', cloud.absent, '--json'])
    expect(ended).toMatchObject({ code: 3, stdout: '' })
    expect(JSON.parse(ended.stderr).error.code).toBe('ERR_SIGNER_KEY_NOT_FOUND')
  })

  it('is reached with its own SDK, and no other SDK is loaded', async () => {
    const watched = ['@aws-sdk/client-kms', '@google-cloud/kms', '@azure/keyvault-keys', 'pkcs11js']
    const hooks = `import { writeSync } from 'node:fs'
      const watched = ${JSON.stringify(watched)}
      export function resolve(specifier, context, next) {
        if (watched.includes(specifier)) writeSync(2, specifier + '\\n')
        return next(specifier, context)
      }`
    const register = `import { register } from 'node:module'
      register(${JSON.stringify(dataUrl(hooks))})`
    const { code, stderr } = await countersign(['jwks', cloud.uri], {
      env: cloud.env,
      node: ['--no-warnings', '--import', dataUrl(register)],
    })
    expect(code).toBe(0)
    expect([...new Set(stderr.trim().split('\n'))]).toEqual([cloud.sdk])
  })
})

const dataUrl = (source: string): string =>
  `data:text/javascript;base64,${Buffer.from(source).toString('base64')}`
