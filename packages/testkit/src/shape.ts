import { inspect } from 'node:util'
import { isJwsAlgorithm, type Signer } from '@countersign/core'
import type { Findings } from './violations.ts'

/** Whether a value has the four members of a signer; reports those that are missing. */
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
    `the factory returned a value whose ${wrong.join(', ')} is missing or of the wrong type; a signer has alg and kid (strings), publicJwk (an object) and sign (a function)`,
  )
  return false
}

/** Checks the members of a signer, except its key. */
export function checkMembers(signer: Signer, findings: Findings): void {
  const open = [
    ...(Object.isFrozen(signer) ? [] : ['the signer']),
    ...(Object.isFrozen(signer.publicJwk) ? [] : ['its publicJwk']),
  ]
  if (open.length > 0) {
    findings.report('signer-frozen', `${open.join(' and ')} can be changed; freeze both`)
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

/** RFC 7518 §6.2.2, §6.3.2 and §6.4.1, RFC 8037 §2, and "priv" of ML-DSA. */
const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv']

/** Text that shows a private key. */
const privateKeyTexts: readonly (readonly [what: string, pattern: RegExp])[] = [
  [
    'a private JWK member',
    /(?<![\w-])["[]?(?:d|p|q|dp|dq|qi|k|priv)["\]]?: ?["'`][A-Za-z0-9_-]{16,}={0,2}["'`]/,
  ],
  ['a private key in PEM', /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/],
  ['a private key object', /\b(?:Private|Secret)KeyObject\b|\btype: '(?:private|secret)'/],
]

/** Checks that no private key can be read from a signer: from its members, by `inspect`, or as JSON. */
export function checkPrivateMembers(signer: Signer, findings: Findings): void {
  for (const [name, value] of [
    ['publicJwk', signer.publicJwk],
    ['the signer', signer],
  ] as const) {
    const found = privateMembers.filter((member) => member in value)
    if (found.length > 0) {
      findings.report('no-private-members', `${name} has the member "${found.join('", "')}"`)
    }
  }
  const deep = { showHidden: true, depth: 8, maxStringLength: 1 << 16, breakLength: 1 << 16 }
  const views = [
    ['inspect()', () => inspect(signer, deep)],
    ['its properties', () => inspect(signer, { ...deep, customInspect: false })],
    ['JSON', () => JSON.stringify(signer)],
  ] as const
  for (const [view, text] of views) {
    const found = privateKeyTexts.find(([, pattern]) => pattern.test(textOf(text)))
    if (found === undefined) continue
    findings.report('no-private-members', `${view} of the signer shows ${found[0]}`)
  }
}

function textOf(view: () => string | undefined): string {
  try {
    return view() ?? ''
  } catch {
    // A value that cannot be shown shows no key.
    return ''
  }
}
