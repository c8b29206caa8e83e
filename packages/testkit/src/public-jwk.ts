import { algorithms, type PublicJwk, type Signer } from '@countersign/core'
import { readPublicJwk, type VerificationKey } from './verifier.ts'
import type { Findings } from './violations.ts'

const keyMembers: {
  readonly [kty in PublicJwk['kty']]: readonly ('x' | 'y' | 'n' | 'e' | 'pub')[]
} = { EC: ['x', 'y'], RSA: ['n', 'e'], OKP: ['x'], AKP: ['pub'] }

const smallestModulus = 2048

/**
 * Checks the public JWK of a signer whose algorithm is known.
 *
 * @returns the key to verify with, or `undefined` if this JWK cannot verify signatures.
 */
export function checkPublicJwk(signer: Signer, findings: Findings): VerificationKey | undefined {
  const fits = checkAgreement(signer, findings)
  const key = readKey(signer, findings)
  if (key === undefined || !fits) return undefined
  checkCanonical(signer, key, findings)
  return key
}

/** Compares the JWK with the signer. Returns whether the type of the key fits the algorithm. */
function checkAgreement({ alg, kid, publicJwk }: Signer, findings: Findings): boolean {
  const { kty, crv } = algorithms[alg]
  const expected = { kty, crv, alg, kid, use: 'sig' } as const
  const differing = (['kty', 'crv', 'alg', 'kid', 'use'] as const).filter(
    (member) => publicJwk[member] !== expected[member],
  )
  if (differing.length > 0) {
    const each = differing.map(
      (member) =>
        `"${member}" is ${JSON.stringify(publicJwk[member])} and should be ${JSON.stringify(expected[member])}`,
    )
    findings.report('public-jwk-agrees', `in publicJwk ${each.join(', ')}`)
  }
  return !differing.includes('kty') && !differing.includes('crv')
}

function readKey({ alg, publicJwk }: Signer, findings: Findings): VerificationKey | undefined {
  try {
    const key = readPublicJwk(publicJwk)
    const bits = key.asymmetricKeyDetails?.modulusLength
    if (bits !== undefined && bits < smallestModulus) {
      findings.report(
        'public-key-usable',
        `the RSA key has ${bits} bits; RFC 7518 §3.3 requires ${smallestModulus} or more`,
      )
    }
    return { alg, key }
  } catch (cause) {
    findings.report(
      'public-key-usable',
      `publicJwk cannot be read as a public key by Node.js ${process.versions.node}, so no signature can be verified`,
      cause,
    )
    return undefined
  }
}

/**
 * Checks that the key is in the form of RFC 7518 §6, by encoding it again: base64url without padding, coordinates in
 * full width, no leading zero octet in a modulus.
 */
function checkCanonical({ publicJwk }: Signer, { key }: VerificationKey, findings: Findings): void {
  const canonical = key.export({ format: 'jwk' }) as { readonly [member: string]: unknown }
  const differing = keyMembers[publicJwk.kty].filter(
    (member) => publicJwk[member] !== canonical[member],
  )
  if (differing.length === 0) return
  findings.report(
    'public-jwk-canonical',
    `in publicJwk ${differing.map((member) => `"${member}"`).join(' and ')} is not in its canonical form: base64url without padding, coordinates in full width, numbers without leading zero octets; its thumbprint would be wrong`,
  )
}
