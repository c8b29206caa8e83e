import { jwks, type Signer } from '@countersign/core'
import type { JwksOptions } from './commands/jwks.ts'
import type { Frame } from './frame.ts'
import { openKey } from './key-option.ts'

/** Runs `countersign jwks`. */
export async function printJwks(
  frame: Frame,
  keys: readonly string[],
  options: JwksOptions,
): Promise<undefined> {
  const signers: Signer[] = []
  for (const key of keys.length === 0 ? [undefined] : keys) {
    await using opened = await openKey(frame, key, options)
    signers.push(opened.signer)
  }
  const document = jwks(...signers)
  frame.output.print(document, () => JSON.stringify(document, undefined, 2))
}
