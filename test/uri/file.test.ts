import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { inspect } from 'node:util'
import { type ClosableSigner, clientAssertion, rotating } from '@countersign/core'
import { checkSigner } from '@countersign/testkit'
import { type KeyScheme, type SignerFromUriOptions, signerFromUri } from '@countersign/uri'
import { decodeProtectedHeader, importJWK, jwtVerify } from 'jose'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { keyPair } from '../support/key-pairs.js'

const passphrase = 'CANARY-passphrase'
const ec = keyPair('P-256').privateKey
const rsa = keyPair('RSA-2048').privateKey
const jwk = { ...ec.export({ format: 'jwk' }), kid: 'of the JWK' }
const secured = { cipher: 'aes-128-cbc', passphrase } as const

let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign uri '))
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** The URI of a file with this content. */
function uriOf(content: string | Uint8Array, query = ''): string {
  const path = join(folder, randomUUID())
  writeFileSync(path, content, { mode: 0o600 })
  return `${pathToFileURL(path).href}${query}`
}

const refusal = (uri: string, options?: SignerFromUriOptions) =>
  signerFromUri(uri, options).then(
    () => expect.unreachable('the key was opened'),
    (error) => error,
  )

describe('a key in a file signs', () => {
  it.each([
    ['PKCS#8', ec.export({ format: 'pem', type: 'pkcs8' }), 'ES256'],
    ['SEC1', ec.export({ format: 'pem', type: 'sec1' }), 'ES256'],
    ['DER', ec.export({ format: 'der', type: 'pkcs8' }), 'ES256'],
    ['JWK', JSON.stringify(jwk), 'ES256'],
    ['JWK over some lines', `\n ${JSON.stringify(jwk, null, 2)}\n`, 'ES256'],
    ['PKCS#8, RSA', rsa.export({ format: 'pem', type: 'pkcs8' }), 'RS256'],
    ['PKCS#1', rsa.export({ format: 'pem', type: 'pkcs1' }), 'RS256'],
  ])('%s', async (_form, content, alg) => {
    await using signer = await signerFromUri(uriOf(content))
    const jwt = await clientAssertion(signer, { clientId: 'c', audience: 'https://as.example' })
    const { protectedHeader } = await jwtVerify(jwt, await importJWK({ ...signer.publicJwk }))
    expect(protectedHeader).toMatchObject({ alg, kid: signer.kid })
  })

  it('with the algorithm and the key ID of the URI', async () => {
    const uri = uriOf(rsa.export({ format: 'pem', type: 'pkcs8' }), '?alg=PS384&kid=a%20kid')
    await using signer = await signerFromUri(uri)
    expect(signer).toMatchObject({
      alg: 'PS384',
      kid: 'a kid',
      publicJwk: { alg: 'PS384', kid: 'a kid' },
    })
  })

  it('with the key ID of a JWK, unless the URI has one', async () => {
    await using own = await signerFromUri(uriOf(JSON.stringify(jwk)))
    await using other = await signerFromUri(uriOf(JSON.stringify(jwk), '?kid=other'))
    expect([own.kid, other.kid]).toEqual(['of the JWK', 'other'])
  })

  it('and passes the conformance kit', async () => {
    const uri = uriOf(ec.export({ format: 'pem', type: 'pkcs8' }))
    expect(await checkSigner(() => signerFromUri(uri), { signatures: 64 })).toEqual([])
  })

  it('until it is closed', async () => {
    const signer = await signerFromUri(uriOf(ec.export({ format: 'pem', type: 'pkcs8' })))
    await signer.close()
    await signer.close()
    expect(Object.isFrozen(signer)).toBe(true)
    await expect(signer.sign(Buffer.from('x'))).rejects.toMatchObject({ code: 'ERR_SIGNER_CONFIG' })
  })
})

it('a rotating source follows a file that is replaced', async () => {
  const uri = uriOf(ec.export({ format: 'pem', type: 'pkcs8' }))
  let now = 0
  await using source = rotating(({ signal }) => signerFromUri(uri, { signal }), {
    maxAgeSeconds: 60,
    now: () => now,
  })
  const jwt = { clientId: 'c', audience: 'https://as.example' }
  const kidNow = async () => decodeProtectedHeader(await clientAssertion(source, jwt)).kid
  const before = await kidNow()
  const next = keyPair('P-256', 1).privateKey.export({ format: 'pem', type: 'pkcs8' })
  writeFileSync(fileURLToPath(uri), next)
  now = 61_000
  await vi.waitFor(async () => expect(await kidNow()).not.toBe(before))
  await using signer = await signerFromUri(uri)
  expect(await kidNow()).toBe(signer.kid)
})

describe('the passphrase', () => {
  const plain = ec.export({ format: 'pem', type: 'pkcs8' })
  const encrypted = [
    ['PEM', ec.export({ format: 'pem', type: 'pkcs8', ...secured })],
    ['DER', ec.export({ format: 'der', type: 'pkcs8', ...secured })],
    ['traditional PEM', ec.export({ format: 'pem', type: 'sec1', ...secured })],
  ] as const

  it.each(encrypted)('opens an encrypted key, as text or asked for once: %s', async (_, key) => {
    await using _given = await signerFromUri(uriOf(key), { passphrase })
    let asked = 0
    const ask = async () => {
      asked++
      return passphrase
    }
    await using _asked = await signerFromUri(uriOf(key), { passphrase: ask })
    expect(asked).toBe(1)
  })

  it('is not asked for when the key is not encrypted, nor when the file is refused', async () => {
    let asked = 0
    const ask = () => {
      asked++
      return passphrase
    }
    await using _signer = await signerFromUri(uriOf(plain), { passphrase: ask })
    await refusal(uriOf('no key'), { passphrase: ask })
    await refusal(uriOf(plain, '?alg=RS256'), { passphrase: ask })
    await refusal('file:///nowhere/key.pem', { passphrase: ask })
    expect(asked).toBe(0)
  })

  it.each(encrypted)('is reported as missing or wrong: %s', async (_, key) => {
    const denied = { code: 'ERR_SIGNER_ACCESS_DENIED', backend: 'local' }
    expect(await refusal(uriOf(key))).toMatchObject(denied)
    for (const given of ['CANARY-wrong', () => 'CANARY-wrong', '']) {
      const error = await refusal(uriOf(key), { passphrase: given })
      expect(error).toMatchObject(denied)
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('CANARY')
    }
  })

  it('must be a string, and an error of its function is passed on', async () => {
    const key = encrypted[0][1]
    const number = (() => 1234) as unknown as () => string
    expect(await refusal(uriOf(key), { passphrase: number })).toBeInstanceOf(TypeError)
    const reason = new Error('no terminal')
    expect(await refusal(uriOf(key), { passphrase: () => Promise.reject(reason) })).toBe(reason)
  })
})

describe('a file without a usable key', () => {
  it.each([
    ['nothing', '', /not a PKCS#8, SEC1 or PKCS#1 private key/],
    ['text', 'CANARY', /not a PKCS#8, SEC1 or PKCS#1 private key/],
    ['a public JWK', JSON.stringify({ ...jwk, d: undefined }), /public key/],
    ['a JWK Set', JSON.stringify({ keys: [jwk] }), /JSON.*not a private JWK.*not a set/],
    ['broken JSON', `{"d": CANARY${JSON.stringify(jwk)}`, /JSON.*not a private JWK/],
  ])('is refused without showing its content: %s', async (_what, content, says) => {
    const error = await refusal(uriOf(content))
    expect(error).toMatchObject({ code: 'ERR_SIGNER_KEY_UNSUPPORTED' })
    expect(error.message).toMatch(says)
    const shown = inspect(error, { depth: 9, showHidden: true })
    for (const canary of ['CANARY', String(jwk.d)]) expect(shown).not.toContain(canary)
  })
})

describe('an abort', () => {
  const reason = new Error('changed my mind')

  it('before the start rejects with its reason, and no passphrase is asked for', async () => {
    const key = uriOf(ec.export({ format: 'pem', type: 'pkcs8', ...secured }))
    let asked = 0
    const ask = () => {
      asked++
      return passphrase
    }
    expect(await refusal(key, { signal: AbortSignal.abort(reason), passphrase: ask })).toBe(reason)
    expect(asked).toBe(0)
  })

  it('ends the wait for a passphrase that never comes', async () => {
    const key = uriOf(ec.export({ format: 'pem', type: 'pkcs8', ...secured }))
    const controller = new AbortController()
    const ask = () => {
      controller.abort(reason)
      return new Promise<string>(() => {})
    }
    expect(await refusal(key, { signal: controller.signal, passphrase: ask })).toBe(reason)
  })

  it('closes a key that is opened after it', async () => {
    const controller = new AbortController()
    let opened: ClosableSigner | undefined
    const slow: KeyScheme = {
      name: 'slow',
      parse: ({ attributes }) => attributes(),
      format: () => ({ path: '' }),
      async open() {
        controller.abort(reason)
        opened = await signerFromUri(uriOf(ec.export({ format: 'pem', type: 'pkcs8' })))
        return opened
      },
    }
    expect(
      await signerFromUri('slow:key', { schemes: [slow], signal: controller.signal }).catch(
        (error) => error,
      ),
    ).toBe(reason)
    await vi.waitFor(() => expect(opened).toBeDefined())
    await vi.waitFor(() => expect(opened?.sign(Buffer.from('x'))).rejects.toThrow(/closed/))
  })

  it('afterwards does not affect the signer', async () => {
    const controller = new AbortController()
    const uri = uriOf(ec.export({ format: 'pem', type: 'pkcs8' }))
    await using signer = await signerFromUri(uri, { signal: controller.signal })
    controller.abort(reason)
    expect(await signer.sign(Buffer.from('x'))).toHaveLength(64)
  })
})
