import { createPrivateKey, KeyObject, webcrypto } from 'node:crypto'
import { clientAssertion, type JwsAlgorithm } from '@countersign/core'
import { type LocalSignerOptions, localSigner } from '@countersign/local'
import { describe, expect, it } from 'vitest'
import { keyPair, runnable } from '../../core/test/keys.ts'
import { everythingShown, published, thrown } from '../../core/test/outcome.ts'
import { refused } from './refused.ts'

const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k', 'priv']

/** Pieces of everything secret in a signer's options, in each encoding that it could be shown in. */
function canaries({ key, passphrase, alg }: LocalSignerOptions): string[] {
  const jwkMembers = (jwk: object) =>
    Object.entries(jwk).flatMap(([member, value]) =>
      privateMembers.includes(member) ? [value] : [],
    )
  const ofKey = (): unknown[] => {
    if (typeof key === 'string') return key.split('\n').filter((line) => !line.startsWith('--'))
    if (key instanceof KeyObject) {
      const der = key.type === 'private' && key.export({ format: 'der', type: 'pkcs8' })
      return der ? encodings(der) : []
    }
    if (key instanceof Uint8Array) return encodings(key)
    return typeof key === 'object' && key !== null ? jwkMembers(key) : []
  }
  const ofPassphrase = passphrase instanceof Uint8Array ? encodings(passphrase) : [passphrase]
  const all = [...ofKey(), ...ofPassphrase, ...String(alg).split('\n').filter(isBody), 'CANARY']
  return all
    .filter((each): each is string => typeof each === 'string')
    .filter((each) => each.length > 5)
}

const isBody = (line: string) => line.length > 40

/** The middle of some octets, where the key itself lies. */
function encodings(octets: Uint8Array): string[] {
  const middle = Buffer.from(octets).subarray(octets.byteLength / 3, (octets.byteLength * 2) / 3)
  const asText = (['hex', 'base64', 'base64url'] as const).map((each) => middle.toString(each))
  const asArray = [...middle.subarray(0, 12)].map((octet) => `${octet}, `).join('')
  const inspected = middle
    .subarray(0, 12)
    .toString('hex')
    .replace(/..(?=.)/g, '$& ')
  return [...asText, asArray, inspected, middle.toString('latin1')]
}

function expectNone(shown: string, canariesOfKey: readonly string[]): void {
  for (const canary of canariesOfKey) expect(shown.includes(canary), canary).toBe(false)
}

describe('a refused key', () => {
  it.each(refused)('shows nothing of itself: $name', async ({ options }) => {
    let error: unknown
    const messages = await published(async () => {
      error = await thrown(() => localSigner(options))
    })
    expectNone(`${everythingShown(error)}\n${everythingShown(messages)}`, canaries(options))
  })

  it('whose halves do not belong together shows nothing of either', async () => {
    for (const alg of runnable) {
      const own = keyPair(alg).privateKey.export({ format: 'jwk' })
      const other = keyPair(alg, 'other').privateKey.export({ format: 'jwk' })
      const key = alg.startsWith('ML-DSA')
        ? { ...own, pub: other['pub'] }
        : { ...own, x: other.x, y: other.y, n: other.n }
      const options: LocalSignerOptions = { key: JSON.parse(JSON.stringify(key)), alg }
      let error: unknown
      const messages = await published(async () => {
        error = await thrown(() => localSigner(options))
      })
      expectNone(`${everythingShown(error)}\n${everythingShown(messages)}`, canaries(options))
    }
  })
})

describe('a signer', () => {
  const forms = (alg: JwsAlgorithm): LocalSignerOptions[] => {
    const { privateKey } = keyPair(alg)
    const passphrase = 'CANARY-passphrase'
    const secured = { type: 'pkcs8', cipher: 'aes-128-cbc', passphrase } as const
    return [
      { key: privateKey },
      { key: String(privateKey.export({ format: 'pem', type: 'pkcs8' })) },
      { key: privateKey.export({ format: 'der', type: 'pkcs8' }) },
      { key: privateKey.export({ format: 'jwk' }) },
      { key: privateKey.export({ format: 'pem', ...secured }), passphrase },
    ]
  }

  it.each(runnable)('of %s shows nothing private, and neither do its messages', async (alg) => {
    const canariesOfKey = forms(alg).flatMap(canaries)
    expect(canariesOfKey.length).toBeGreaterThan(10)
    for (const options of forms(alg)) {
      let shown = ''
      const messages = await published(async () => {
        const signer = await localSigner({ ...options, alg })
        await clientAssertion(signer, { clientId: 'c', audience: 'a' })
        shown = everythingShown(signer) + everythingShown(Object.getOwnPropertyDescriptors(signer))
      })
      expect(shown).toContain('publicJwk')
      expectNone(`${shown}\n${everythingShown(messages)}`, canariesOfKey)
    }
  })

  it('over a CryptoKey shows neither the key nor its algorithm object', async () => {
    const parameters = { name: 'ECDSA', namedCurve: 'P-256' }
    const { privateKey } = await webcrypto.subtle.generateKey(parameters, true, ['sign', 'verify'])
    const { d } = await webcrypto.subtle.exportKey('jwk', privateKey)
    const shown = everythingShown(await localSigner({ key: privateKey }))
    expectNone(shown, [String(d), 'CryptoKey', 'namedCurve'])
  })
})

it('the canaries would be seen: each stands in what the key itself shows', () => {
  const key = keyPair('ES256').privateKey
  const pem = String(key.export({ format: 'pem', type: 'pkcs8' }))
  for (const canary of canaries({ key: pem })) {
    if (canary !== 'CANARY') expect(everythingShown(pem)).toContain(canary)
  }
  const der = createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' })
  const [hex, base64, base64url] = encodings(der)
  expect(der.toString('hex')).toContain(hex)
  expect(base64?.length).toBeGreaterThan(20)
  expect(base64url?.length).toBeGreaterThan(20)
})
