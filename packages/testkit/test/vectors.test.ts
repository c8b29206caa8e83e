import { algorithms, isJwsAlgorithm, thumbprint } from '@countersign/core'
import { describe, expect, test } from 'vitest'
import { thumbprintVector, vectors, verifierFault } from '../src/vectors.ts'
import { flipped, readPublicJwk, signatureFault, verifies } from '../src/verifier.ts'

describe.each(vectors)('$rfc, $alg', ({ alg, jwk, signingInput, signature }) => {
  const key = { alg, key: readPublicJwk(jwk) }
  const input = Buffer.from(signingInput)
  const octets = Buffer.from(signature, 'base64url')

  test('is signed with the algorithm of its header', () => {
    const header = JSON.parse(Buffer.from(signingInput.split('.')[0] ?? '', 'base64url').toString())
    expect(header.alg).toBe(alg)
  })

  test('verifies, and nothing is wrong with its signature', () => {
    expect(verifies(key, input, octets)).toBe(true)
    expect(signatureFault(key, input, octets)).toBeUndefined()
  })

  test('does not verify with any one octet of the signature changed', () => {
    for (const [place, octet] of octets.entries()) {
      const changed = Buffer.from(octets)
      changed[place] = octet ^ 0x80
      expect(verifies(key, input, changed)).toBe(false)
    }
  })

  test('does not verify over another input or with an octet more or less', () => {
    expect(verifies(key, flipped(input), octets)).toBe(false)
    expect(verifies(key, input, octets.subarray(1))).toBe(false)
    expect(verifies(key, input, Buffer.concat([Buffer.alloc(1), octets]))).toBe(false)
  })

  test('does not verify under the key of another RFC', () => {
    for (const other of vectors) {
      if (other.jwk['kty'] !== jwk['kty'] || other.jwk === jwk) continue
      expect(verifies({ alg, key: readPublicJwk(other.jwk) }, input, octets)).toBe(false)
    }
  })
})

test('the thumbprint of RFC 7638 §3.1 is the one that the RFC gives', () => {
  expect(thumbprint(thumbprintVector.jwk)).toBe(thumbprintVector.thumbprint)
})

test.each(Object.keys(algorithms).filter(isJwsAlgorithm))(
  'the verifier proves itself before it judges %s',
  (alg) => {
    expect(verifierFault(alg)).toBeUndefined()
  },
)
