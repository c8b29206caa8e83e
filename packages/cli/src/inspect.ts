import type { Jwk, KeyProtection, Signer, SignMessage } from '@countersign/core'
import type { Command } from 'commander'
import { addJsonOption, type Context, defineCommand, runs } from './command.ts'
import { addKeyOptions, type KeyOptions, keyArgument } from './key-options.ts'
import { jsonText } from './output.ts'

/** `countersign inspect KEY` */
export function inspectCommand(): Command {
  const command = defineCommand('inspect', {
    summary: 'show a key, and make one signature with it',
    description:
      'Shows the backend, type, algorithm, key ID and public key. Makes one signature, verifies it with the public key, and shows how long it took.',
    examples: [
      ['countersign inspect key.pem', 'A key in a file'],
      ["countersign inspect 'awskms:///alias/agent?region=eu-west-1'", 'A key in AWS KMS'],
      [
        "countersign inspect 'pkcs11:token=agents;object=billing?module-path=/usr/lib/softhsm/libsofthsm2.so'",
        'A key on a PKCS#11 token; the PIN comes from COUNTERSIGN_PIN, or from a prompt',
      ],
      ['countersign inspect key.pem --json | jq .publicJwk', 'Only the public key'],
    ],
  }).argument('[key]', keyArgument)
  return addJsonOption(addKeyOptions(command)).action(
    runs<[string | undefined], KeyOptions>(inspect),
  )
}

async function inspect(
  context: Context,
  [key]: readonly [string | undefined],
  options: KeyOptions,
): Promise<undefined> {
  const [{ createPublicKey }, { openKey }] = await Promise.all([
    import('node:crypto'),
    import('./open-key.ts'),
  ])
  await using opened = await openKey(context, key, options)
  const { signer } = opened
  const { output } = context
  const { backend, signature } = await context.progress('Signing', () =>
    signOnce(signer, context.signal),
  )
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

/** Makes one signature, verifies it, and measures the time. */
async function signOnce(signer: Signer, signal: AbortSignal) {
  const [{ randomBytes }, { subscribe, unsubscribe }, { createSigner }] = await Promise.all([
    import('node:crypto'),
    import('node:diagnostics_channel'),
    import('@countersign/core'),
  ])
  const { alg, kid, publicJwk } = signer
  let backend = 'unknown'
  const listener = (message: unknown) => {
    const signature = message as SignMessage
    if (signature.kid === kid && signature.backend !== trial) backend = signature.backend
  }
  subscribe('countersign:sign', listener)
  try {
    let milliseconds = 0
    // Verifies the signature, even when the signer of the key does not.
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
    unsubscribe('countersign:sign', listener)
  }
}

/** Where the private key is. */
const protections: Readonly<Record<KeyProtection, string>> = {
  software: 'software of the key service',
  hsm: 'HSM of the key service',
  external: 'external key manager, called by the key service',
}

const trial = 'countersign-inspect'

/** The type and size of a key. */
function describeKey({ kty, crv, n, alg }: Jwk): string {
  const bits = n === undefined ? undefined : Buffer.from(n, 'base64url').length * 8
  return [kty, crv ?? bits ?? alg].filter(Boolean).join(' ')
}
