import { inspect } from 'node:util'
import type { Signer } from '@countersign/core'
import type { Findings } from './findings.ts'

/** RFC 7518 §6.2.2, §6.3.2 and §6.4.1, RFC 8037 §2, and "priv" of ML-DSA. */
const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv']

/** What gives a key away in text: the member of a JWK with a value worth hiding, PEM, a key object. */
const traces: readonly (readonly [what: string, pattern: RegExp])[] = [
  [
    'a private JWK member',
    /(?<![\w-])["[]?(?:d|p|q|dp|dq|qi|k|priv)["\]]?: ?["'`][A-Za-z0-9_-]{16,}={0,2}["'`]/,
  ],
  ['a private key in PEM', /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/],
  ['a private key object', /\b(?:Private|Secret)KeyObject\b|\btype: '(?:private|secret)'/],
]

/** Checks that nothing private can be read off a signer: by its members, by `inspect`, or as JSON. */
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
    const trace = traces.find(([, pattern]) => pattern.test(textOf(text)))
    if (trace === undefined) continue
    findings.report('no-private-members', `${view} of the signer shows ${trace[0]}`)
  }
}

function textOf(view: () => string | undefined): string {
  try {
    return view() ?? ''
  } catch {
    // A value that cannot be written shows nothing.
    return ''
  }
}
