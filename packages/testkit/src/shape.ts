import { isJwsAlgorithm, type Signer } from '@countersign/core'
import type { Findings } from './findings.ts'

/** Tells whether a value has the four members of a signer, and reports those that are missing. */
export function hasSignerShape(value: unknown, findings: Findings): value is Signer {
  const found = (value ?? {}) as { readonly [member: string]: unknown }
  const wrong = [
    ...(['alg', 'kid'] as const).filter((member) => typeof found[member] !== 'string'),
    ...(typeof found['publicJwk'] === 'object' && found['publicJwk'] !== null ? [] : ['publicJwk']),
    ...(typeof found['sign'] === 'function' ? [] : ['sign']),
  ]
  if (wrong.length === 0) return true
  findings.report(
    'signer-shape',
    `the factory gave something whose ${wrong.join(', ')} is missing or of the wrong type; a signer has alg and kid (strings), publicJwk (an object) and sign (a function)`,
  )
  return false
}

/** Checks what a signer says of itself, apart from its key. */
export function checkFacts(signer: Signer, findings: Findings): void {
  const open = [
    ...(Object.isFrozen(signer) ? [] : ['the signer']),
    ...(Object.isFrozen(signer.publicJwk) ? [] : ['its publicJwk']),
  ]
  if (open.length > 0) {
    findings.report(
      'signer-frozen',
      `${open.join(' and ')} can be changed after the fact; freeze both`,
    )
  }
  if (signer.kid === '') {
    findings.report('kid-non-empty', 'kid is the empty string; verifiers find the key by it')
  }
  if (!isJwsAlgorithm(signer.alg)) {
    findings.report(
      'alg-known',
      `alg is ${JSON.stringify(signer.alg)}, which is not a signature algorithm of JOSE that a signer can have`,
    )
  }
}
