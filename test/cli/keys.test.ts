import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  verify,
} from 'node:crypto'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeJwt, decodeProtectedHeader, importJWK, jwtVerify } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { keyPair } from '../support/key-pairs.js'
import { secretsIn } from '../support/secrets.js'
import { countersign } from './command.ts'
import { clientId, type Fixtures, startFixtures } from './fixtures.ts'

let fixtures: Fixtures
beforeAll(async () => {
  fixtures = await startFixtures()
})
afterAll(() => fixtures[Symbol.asyncDispose]())

/** What must never be printed of the fixtures's key. */
const privateHalf = () => {
  const jwk = createPrivateKey(readFileSync(fixtures.key)).export({ format: 'jwk' })
  return String(jwk.d)
}

/** Output without what differs from run to run. */
const steady = (text: string) =>
  text
    .replaceAll(fixtures.kid, 'KID')
    .replaceAll(/(?<="[xy]":\s*")[\w-]{43}/g, 'COORDINATE')
    .replaceAll(/(?<=BEGIN PUBLIC KEY-----)[\s\S]+?(?=-----END)/g, ' SPKI ')
    .replaceAll(/\d+(?:\.\d+)?(?= ms\n)|(?<="milliseconds": )\d+(?:\.\d+)?/g, '0.1')

describe('countersign inspect', () => {
  it('shows what a key is, and a signature that was verified', async () => {
    const { code, stdout, stderr } = await countersign(['inspect', fixtures.key])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).not.toContain(privateHalf())
    expect(secretsIn(stdout)).toEqual([])
    expect(steady(stdout)).toMatchInlineSnapshot(`
      "backend     local
      key         EC P-256
      algorithm   ES256
      kid         KID
      signature   64 octets, verified, in 0.1 ms

      {"kty":"EC","crv":"P-256","x":"COORDINATE","y":"COORDINATE","kid":"KID","alg":"ES256","use":"sig"}

      -----BEGIN PUBLIC KEY----- SPKI -----END PUBLIC KEY-----
      "
    `)
  })

  it('prints the same as JSON, with a public key that others can use', async () => {
    const { code, stdout } = await countersign(['inspect', fixtures.key, '--json'])
    expect(code).toBe(0)
    expect(stdout).not.toContain(privateHalf())
    expect(steady(stdout)).toMatchInlineSnapshot(`
      "{
        "backend": "local",
        "keyType": "EC P-256",
        "alg": "ES256",
        "kid": "KID",
        "publicJwk": {
          "kty": "EC",
          "crv": "P-256",
          "x": "COORDINATE",
          "y": "COORDINATE",
          "kid": "KID",
          "alg": "ES256",
          "use": "sig"
        },
        "publicPem": "-----BEGIN PUBLIC KEY----- SPKI -----END PUBLIC KEY-----\\n",
        "signature": {
          "octets": 64,
          "verified": true,
          "milliseconds": 0.1
        }
      }
      "
    `)
    const { publicPem, publicJwk } = JSON.parse(stdout)
    const expected = createPublicKey(readFileSync(fixtures.key)).export({ format: 'jwk' })
    expect(createPublicKey(publicPem).export({ format: 'jwk' })).toEqual(expected)
    expect(publicJwk).toMatchObject(expected)
  })

  it.each([
    ['a file URI', (path: string) => `file://${path}`],
    [
      'a file URI with an algorithm and a key ID',
      (path: string) => `file://${path}?alg=ES256&kid=x`,
    ],
  ])('takes %s', async (_what, uri) => {
    expect(await countersign(['inspect', uri(fixtures.key)])).toMatchObject({ code: 0, stderr: '' })
  })

  it('takes a path relative to where it is run', async () => {
    const ended = await countersign(['inspect', 'key.pem'], { cwd: fixtures.folder })
    expect(ended).toMatchObject({ code: 0, stderr: '' })
  })

  it.each([
    ['RSA 3072', 'RS256', () => generateKeyPairSync('rsa', { modulusLength: 3072 })],
    ['OKP Ed25519', 'EdDSA', () => generateKeyPairSync('ed25519')],
    ['EC P-521', 'ES512', () => generateKeyPairSync('ec', { namedCurve: 'P-521' })],
  ])('names the type %s and the algorithm %s', async (keyType, alg, generate) => {
    const path = join(fixtures.folder, 'other.pem')
    writeFileSync(path, generate().privateKey.export({ type: 'pkcs8', format: 'pem' }), {
      mode: 0o600,
    })
    const { stdout } = await countersign(['inspect', path, '--json'])
    expect(JSON.parse(stdout)).toMatchObject({ keyType, alg, backend: 'local' })
  })
})

describe('a key file that others can read', () => {
  it('is refused with what to do, and taken with --allow-shared-files', async () => {
    const shared = join(fixtures.folder, 'shared.pem')
    writeFileSync(shared, readFileSync(fixtures.key))
    chmodSync(shared, 0o644)
    const refused = await countersign(['inspect', shared])
    expect(refused).toMatchObject({ code: 3, stdout: '' })
    expect(refused.stderr).toMatch(
      /^countersign: .*chmod 600 .* or give --allow-shared-files .*\n$/,
    )
    const taken = await countersign(['inspect', shared, '--allow-shared-files'])
    expect(taken).toMatchObject({ code: 0, stderr: '' })
  })
})

describe('countersign jwks', () => {
  it('prints the public keys of several keys, in the given order', async () => {
    const { code, stdout } = await countersign([
      'jwks',
      `file://${fixtures.key}?kid=current`,
      `file://${fixtures.key}?kid=next`,
    ])
    expect(code).toBe(0)
    expect(stdout).not.toContain(privateHalf())
    const { keys } = JSON.parse(stdout)
    expect(keys.map(({ kid }: { kid: string }) => kid)).toEqual(['current', 'next'])
    await expect(importJWK(keys[0], 'ES256')).resolves.toMatchObject({ type: 'public' })
  })

  it('prints the same with --json, and of the key of COUNTERSIGN_KEY when none is named', async () => {
    const [named, fromEnvironment] = await Promise.all([
      countersign(['jwks', fixtures.key]),
      countersign(['jwks', '--json'], { env: fixtures.env }),
    ])
    expect(fromEnvironment.stdout).toBe(named.stdout)
    expect([named.code, fromEnvironment.code]).toEqual([0, 0])
  })
})

describe('countersign jwks --client-metadata', () => {
  const clientId = 'https://agent.example.com/client.json'

  it('prints the document of the client, with its keys or with where they are', async () => {
    const args = ['jwks', fixtures.key, '--client-metadata', clientId, '--client-name', 'Billing']
    const [keys, uri] = await Promise.all([
      countersign(args),
      countersign([...args, '--jwks-uri', 'https://agent.example.com/jwks.json', '--json']),
    ])
    expect([keys.code, uri.code, keys.stderr, uri.stderr]).toEqual([0, 0, '', ''])
    expect(keys.stdout).not.toContain(privateHalf())
    const common = { client_id: clientId, token_endpoint_auth_method: 'private_key_jwt' }
    const { kid } = fixtures
    expect(JSON.parse(keys.stdout)).toMatchObject({ ...common, jwks: { keys: [{ kid }] } })
    const published = JSON.parse(uri.stdout)
    expect(published).toMatchObject({ ...common, jwks_uri: 'https://agent.example.com/jwks.json' })
    expect(published).not.toHaveProperty('jwks')
  })

  it.each([
    ['a name', ['--client-metadata', clientId], /--client-name is missing/],
    ['https', ['--client-metadata', 'http://agent.example.com/c', '--client-name', 'x'], /https/],
  ])('is refused with 2 without %s', async (_what, options, why) => {
    const ended = await countersign(['jwks', fixtures.key, ...options])
    expect(ended).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(why) })
  })

  it('is refused with 2 when two keys have one kid', async () => {
    const other = join(fixtures.folder, 'p384.pem')
    const pem = keyPair('P-384').privateKey.export({ type: 'pkcs8', format: 'pem' })
    writeFileSync(other, pem, { mode: 0o600 })
    const ended = await countersign([
      'jwks',
      `file://${fixtures.key}?kid=x`,
      `file://${other}?kid=x`,
    ])
    expect(ended).toMatchObject({ code: 2, stdout: '' })
    expect(ended.stderr).toMatch(/two keys, .* have the kid "x"/)
  })
})

describe('countersign assertion', () => {
  it('prints an assertion that the public key verifies, and nothing else', async () => {
    const { code, stdout, stderr } = await countersign(['assertion'], { env: fixtures.env })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/)
    const { payload, protectedHeader } = await jwtVerify(
      stdout.trim(),
      createPublicKey(readFileSync(fixtures.key)),
    )
    expect(protectedHeader).toMatchObject({ typ: 'client-authentication+jwt', kid: fixtures.kid })
    const { issuer } = fixtures.servers.authorizationServer
    expect(payload).toMatchObject({ iss: clientId, sub: clientId, aud: issuer })
    expect(Number(payload.exp) - Number(payload.iat)).toBe(60)
  })

  it('prints its parameters with --json and with --form, and a new assertion each time', async () => {
    const options = ['--audience', 'https://as.example/token', '--lifetime', '30']
    const [json, form] = await Promise.all([
      countersign(['assertion', '--json', ...options], { env: fixtures.env }),
      countersign(['assertion', '--form', ...options], { env: fixtures.env }),
    ])
    const given = JSON.parse(json.stdout)
    const sent = Object.fromEntries(new URLSearchParams(form.stdout.trim()))
    expect(Object.keys(sent)).toEqual(Object.keys(given))
    const type = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
    expect([given.client_assertion_type, sent['client_assertion_type']]).toEqual([type, type])
    const claims = [given, sent].map((one) => decodeJwt(one.client_assertion))
    expect(claims[0]?.jti).not.toBe(claims[1]?.jti)
    for (const { aud, iat, exp } of claims) {
      expect([aud, Number(exp) - Number(iat)]).toEqual(['https://as.example/token', 30])
    }
  })

  it('is accepted by the authorization server from curl or anything like it', async () => {
    const { stdout } = await countersign(['assertion', '--form'], { env: fixtures.env })
    const { token_endpoint } = fixtures.servers.authorizationServer.metadata
    const rest = new URLSearchParams({
      grant_type: 'client_credentials',
      resource: fixtures.servers.mcpServer.url,
      scope: 'tools',
    })
    const response = await fetch(token_endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: `${rest}&${stdout.trim()}`,
    })
    expect(response.status).toBe(200)
  })

  it.each([
    ["the key's own", [], {}, 'client-authentication+jwt', 'own'],
    ['as given', ['--typ', 'JWT', '--kid', 'billing-1'], {}, 'JWT', 'billing-1'],
    ['none', ['--kid', 'none'], {}, 'client-authentication+jwt', undefined],
    ['of a certificate', ['--kid', 'spki-sha256'], {}, 'client-authentication+jwt', 'spki'],
    [
      'of the environment',
      [],
      { COUNTERSIGN_TYP: 'JWT', COUNTERSIGN_KID: 'none' },
      'JWT',
      undefined,
    ],
    [
      "the key's own where a variable is empty",
      [],
      { COUNTERSIGN_TYP: '', COUNTERSIGN_KID: '' },
      'client-authentication+jwt',
      'own',
    ],
  ])('has a typ and a kid that are %s', async (_what, options, env, typ, kid) => {
    const ended = await countersign(['assertion', ...options], {
      env: { ...fixtures.env, ...(env as Record<string, string>) },
    })
    expect(ended).toMatchObject({ code: 0, stderr: '' })
    const header = decodeProtectedHeader(ended.stdout.trim())
    const spki = createPublicKey(readFileSync(fixtures.key)).export({ type: 'spki', format: 'der' })
    const known = { own: fixtures.kid, spki: createHash('sha256').update(spki).digest('base64url') }
    expect([header.typ, header.kid]).toEqual([typ, known[kid as 'own'] ?? kid])
  })

  it.each([
    ['--client-id-in-body', ['--client-id-in-body'], {}],
    ['its variable', [], { COUNTERSIGN_CLIENT_ID_IN_BODY: '1' }],
  ])('has client_id among its parameters with %s', async (_what, options, env) => {
    const ended = await countersign(['assertion', '--form', ...options], {
      env: { ...fixtures.env, ...(env as Record<string, string>) },
    })
    expect(new URLSearchParams(ended.stdout.trim()).get('client_id')).toBe(clientId)
    const without = await countersign(['assertion', '--form'], {
      env: { ...fixtures.env, COUNTERSIGN_CLIENT_ID_IN_BODY: '0' },
    })
    expect(new URLSearchParams(without.stdout.trim()).has('client_id')).toBe(false)
  })

  it('signs with the algorithm that the URI asks for', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const path = join(fixtures.folder, 'rsa.pem')
    writeFileSync(path, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
    const args = ['assertion', `file://${path}?alg=PS384`, '--client-id', 'x']
    const { stdout } = await countersign([...args, '--issuer', 'https://as.example'])
    expect(decodeProtectedHeader(stdout.trim()).alg).toBe('PS384')
    const [header, payload, signature = ''] = stdout.trim().split('.')
    const signed = Buffer.from(`${header}.${payload}`)
    const key = { key: publicKey, padding: 6, saltLength: 48 }
    expect(verify('sha384', signed, key, Buffer.from(signature, 'base64url'))).toBe(true)
  })
})
