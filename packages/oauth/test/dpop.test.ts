import { createHash, generateKeyPairSync } from 'node:crypto'
import { rotating, thumbprint } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { type DpopProofRequest, dpopSession } from '@countersign/oauth'
import { calculateJwkThumbprint, decodeProtectedHeader, EmbeddedJWK, jwtVerify } from 'jose'
import { expect, test } from 'vitest'
import { es256Signer } from './fixtures.js'

const verify = (proof: string) => jwtVerify(proof, EmbeddedJWK, { typ: 'dpop+jwt' })

const withNonce = (nonce: string) => new Response(null, { headers: { 'dpop-nonce': nonce } })

test('a proof is signed by the key in its header, which has public members only', async () => {
  const session = dpopSession()
  const proof = await session.buildProof({ htm: 'POST', htu: 'https://as.test/token' })
  const { payload, protectedHeader } = await verify(proof)
  expect(Object.keys(protectedHeader).sort()).toEqual(['alg', 'jwk', 'typ'])
  expect(Object.keys(protectedHeader.jwk ?? {}).sort()).toEqual(['crv', 'kty', 'x', 'y'])
  expect(protectedHeader.alg).toBe('ES256')
  expect(Object.keys(payload).sort()).toEqual(['htm', 'htu', 'iat', 'jti'])
  expect(await session.jkt()).toBe(await calculateJwkThumbprint(protectedHeader.jwk ?? {}))
})

test.each([
  ['https://API.test:443/a/../b?x=1#y', 'https://api.test/b'],
  ['http://127.0.0.1:80/', 'http://127.0.0.1/'],
  ['https://api.test', 'https://api.test/'],
  ['https://user:word@api.test:8443/a%20b', 'https://api.test:8443/a%20b'],
])('htu of %s is %s', async (url, htu) => {
  const proof = await dpopSession().buildProof({ htm: 'get', htu: url })
  expect((await verify(proof)).payload).toMatchObject({ htu, htm: 'GET' })
})

test.each([
  'https://API.test:443/a/../b/./c?x=1#y',
  'https://api.test./%7euser/%2F%2f/a%20b/ü',
  'https://bücher.test/[]{}|',
  'http://[0:0::1]:80//a//',
  'https://api.test/a\\b',
])('htu of %s is the URL that fetch requests, without its query and fragment', async (url) => {
  const sent = new URL(new Request(url).url)
  const proof = await dpopSession().buildProof({ htm: 'GET', htu: url })
  expect((await verify(proof)).payload['htu']).toBe(sent.href.replace(/[?#].*$/, ''))
})

test.each([
  [{ htm: 'GET', htu: 'blob:https://api.test/1' }, /"htu" must be an absolute http or https URL/],
  [{ htm: 'GET', htu: 'file:///etc' }, /"htu" must be/],
  [{ htm: 'GET', htu: '/mcp' }, /"htu" must be/],
  [{ htm: undefined, htu: 'https://api.test' }, /"htm"/],
  [{ htm: 'GET', htu: 'https://api.test', accessToken: 'tökén' }, /"accessToken" must be/],
  [{ htm: 'GET', htu: 'https://api.test', accessToken: '' }, /"accessToken" must be/],
])('a proof for %j is refused', async (request, message) => {
  const refused = dpopSession().buildProof(request as DpopProofRequest)
  await expect(refused).rejects.toThrow(TypeError)
  await expect(refused).rejects.toThrow(message)
})

test('a private key that a signer shows among its public members is not in the proof', async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const signer = await localSigner({ key: privateKey })
  const { d } = privateKey.export({ format: 'jwk' })
  const careless = { ...signer, publicJwk: { ...signer.publicJwk, d } }
  const proof = await dpopSession(careless).buildProof({ htm: 'GET', htu: 'https://api.test' })
  expect(Object.keys(decodeProtectedHeader(proof).jwk ?? {}).sort()).toEqual([
    'crv',
    'kty',
    'x',
    'y',
  ])
})

test('no member of a session leads to its key', () => {
  const session = dpopSession()
  expect(Object.keys(session).sort()).toEqual(['alg', 'buildProof', 'jkt', 'observeNonce'])
  expect(Object.isFrozen(session)).toBe(true)
})

test('a method that fetch sends as it is written stays so', async () => {
  const proof = await dpopSession().buildProof({ htm: 'patch', htu: 'https://api.test' })
  expect((await verify(proof)).payload['htm']).toBe('patch')
})

test('ath is the SHA-256 of the token, and each proof has its own jti', async () => {
  const session = dpopSession()
  const request = { htm: 'GET', htu: 'https://api.test/', accessToken: 'a.b-c' }
  const one = (await verify(await session.buildProof(request))).payload
  const other = (await verify(await session.buildProof(request))).payload
  expect(one['ath']).toBe(createHash('sha256').update('a.b-c').digest('base64url'))
  expect(one.jti).not.toBe(other.jti)
})

test('iat is read from the clock of the caller, in whole seconds', async () => {
  const now = Date.now() - 5_500
  const session = dpopSession(undefined, { now: () => now })
  const proof = await session.buildProof({ htm: 'GET', htu: 'https://api.test/' })
  expect((await verify(proof)).payload.iat).toBe(Math.floor(now / 1000))
})

test('a nonce is used for its origin until a newer one arrives, and for no other origin', async () => {
  const session = dpopSession()
  const nonceFor = async (htu: string) =>
    (await verify(await session.buildProof({ htm: 'GET', htu }))).payload['nonce']
  expect(session.observeNonce(withNonce('one'), 'https://as.test/token')).toBe(true)
  expect(await nonceFor('https://as.test/other')).toBe('one')
  expect(await nonceFor('https://as.test:8443/token')).toBeUndefined()
  session.observeNonce(withNonce('two'), 'https://as.test/token')
  expect(session.observeNonce(new Response(), 'https://as.test/token')).toBe(false)
  expect(await nonceFor('https://as.test/token')).toBe('two')
})

test.each(['a"b', 'a\\b', 'a b', 'x'.repeat(1025)])('the nonce %j is ignored', async (nonce) => {
  const session = dpopSession()
  expect(session.observeNonce(withNonce(nonce), 'https://as.test')).toBe(false)
  const proof = await session.buildProof({ htm: 'GET', htu: 'https://as.test' })
  expect((await verify(proof)).payload).not.toHaveProperty('nonce')
})

test('nonces of 100 origins are stored', async () => {
  const session = dpopSession()
  for (let number = 0; number <= 100; number++) {
    session.observeNonce(withNonce(`n${number}`), `https://host${number}.test`)
  }
  const nonces = await Promise.all(
    [0, 1, 100].map(async (number) => {
      const request = { htm: 'GET', htu: `https://host${number}.test` }
      return (await verify(await session.buildProof(request))).payload['nonce']
    }),
  )
  expect(nonces).toEqual([undefined, 'n1', 'n100'])
})

test('any signer signs proofs, and its key ID is not in them', async () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const signer = await localSigner({ key: privateKey, alg: 'PS256', kid: 'name' })
  const session = dpopSession(signer)
  const proof = await session.buildProof({ htm: 'GET', htu: 'https://api.test' })
  await verify(proof)
  const { alg, kid, jwk } = decodeProtectedHeader(proof)
  expect({ alg, kid }).toEqual({ alg: 'PS256', kid: undefined })
  expect(Object.keys(jwk ?? {}).sort()).toEqual(['e', 'kty', 'n'])
  expect(session.alg).toBe('PS256')
  expect(await session.jkt()).toBe(thumbprint({ ...signer.publicJwk }))
})

test('an abort of the caller ends a proof', async () => {
  const reason = new Error('stopped')
  const signal = AbortSignal.abort(reason)
  const request = { htm: 'GET', htu: 'https://api.test', signal }
  await expect(dpopSession().buildProof(request)).rejects.toBe(reason)
})

test('a rotating signer is refused, because tokens are bound to one key', async () => {
  const source = rotating(es256Signer)
  expect(() => dpopSession(source as never)).toThrow(/rotating signer cannot be used/)
})
