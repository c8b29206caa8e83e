import type { Command } from 'commander'
import { addJsonOption, defineCommand, runs } from '../frame.ts'
import { addKeyOptions, type KeyOptions, keyArgument } from '../key-option.ts'

/** `countersign inspect KEY` */
export function inspectCommand(): Command {
  const command = defineCommand('inspect', {
    summary: 'show a key, and let it sign once',
    description:
      'Shows what a key is: its backend, type, algorithm, key ID and public half. Lets it sign once, verifies the signature with the public half, and says how long it took.',
    examples: [
      ['countersign inspect key.pem', 'A key in a file'],
      ["countersign inspect 'awskms:///alias/agent?region=eu-west-1'", 'A key in AWS KMS'],
      [
        "countersign inspect 'pkcs11:token=agents;object=billing?module-path=/usr/lib/softhsm/libsofthsm2.so'",
        'A key on a PKCS#11 token; its PIN is asked for, or comes from COUNTERSIGN_PIN',
      ],
      ['countersign inspect key.pem --json | jq .publicJwk', 'The public key alone'],
    ],
  }).argument('[key]', keyArgument)
  return addJsonOption(addKeyOptions(command)).action(
    runs<[string | undefined], KeyOptions>(async (frame, [key], options) => {
      const { inspect } = await import('../inspect.ts')
      return inspect(frame, key, options)
    }),
  )
}
