import { createPublicKey, randomBytes } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import {
  createSigner,
  type Jwk,
  type KeyProtection,
  type Signer,
  type SignMessage,
} from '@countersign/core'
import type { Frame } from './frame.ts'
import { type KeyOptions, openKey } from './key-option.ts'
import { jsonText } from './redact.ts'

/** Runs `countersign inspect`. */
export async function inspect(
  frame: Frame,
  key: string | undefined,
  options: KeyOptions,
): Promise<undefined> {
  await using opened = await openKey(frame, key, options)
  const { signer } = opened
  const { output } = frame
  const { backend, signature } = await frame.progress('Signing', () => tryOut(signer, frame.signal))
  const { alg, kid, publicJwk, protection } = signer
  const publicPem = String(
    createPublicKey({ key: { ...publicJwk }, format: 'jwk' }).export({
      type: 'spki',
      format: 'pem',
    }),
  )
  const keyType = describeKey({ ...publicJwk })
  const { octets, milliseconds } = signature
  const shown = { backend, keyType, alg, kid, protection, publicJwk, publicPem, signature }
  output.print(shown, () => {
    const rows = [
      ['backend', backend],
      ['key', keyType],
      ['algorithm', alg],
      ['kid', output.clean(kid)],
      ...(protection === undefined ? [] : [['protection', protections[protection]]]),
      ['signature', `${octets} octets, verified, in ${milliseconds} ms`],
    ]
    const table = rows.map(
      ([label = '', value]) => `${output.paint('dim', label.padEnd(12))}${value}`,
    )
    return [...table, '', jsonText(publicJwk), '', publicPem.trimEnd()].join('\n')
  })
}

/** Lets the signer sign once, verifies the signature, and takes the time. */
async function tryOut(signer: Signer, signal: AbortSignal) {
  const { alg, kid, publicJwk } = signer
  let backend = 'unknown'
  const listen = (message: unknown) => {
    const reported = message as SignMessage
    if (reported.kid === kid && reported.backend !== trial) backend = reported.backend
  }
  subscribe('countersign:sign', listen)
  try {
    let milliseconds = 0
    // Verifies what the other signer hands out, whether that does so by itself or not.
    const verifying = createSigner(
      {
        name: trial,
        alg,
        publicKey: { ...publicJwk },
        async sign({ message, signal }) {
          const started = performance.now()
          const made = await signer.sign(message, { signal })
          milliseconds = performance.now() - started
          return made
        },
      },
      { kid, timeoutSeconds: 600 },
    )
    const { length } = await verifying.sign(randomBytes(32), { signal })
    const rounded = Math.round(milliseconds * 100) / 100
    return { backend, signature: { octets: length, verified: true, milliseconds: rounded } }
  } finally {
    unsubscribe('countersign:sign', listen)
  }
}

/** How a key is kept, for people. */
const protections: Readonly<Record<KeyProtection, string>> = {
  software: 'in software of the service',
  hsm: 'in an HSM of the service',
  external: 'outside, in a key manager that the service calls',
}

const trial = 'countersign-inspect'

/** Type and size of a key, for people. */
function describeKey({ kty, crv, n, alg }: Jwk): string {
  const bits = n === undefined ? undefined : Buffer.from(n, 'base64url').length * 8
  return [kty, crv ?? bits ?? alg].filter(Boolean).join(' ')
}
