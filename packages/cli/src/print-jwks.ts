import { jwks, type Signer } from '@countersign/core'
import { required } from './client-options.ts'
import type { JwksOptions } from './commands/jwks.ts'
import type { Frame } from './frame.ts'
import { openKey } from './key-option.ts'
import { jsonText } from './redact.ts'
import { UsageError } from './usage-error.ts'

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
  const document = await describe(signers, options)
  frame.output.print(document, () => jsonText(document, 2))
}

async function describe(signers: readonly Signer[], options: JwksOptions): Promise<object> {
  const { clientMetadata: clientId, clientName, jwksUri, scope } = options
  try {
    if (clientId === undefined) return jwks(...signers)
    const { clientMetadata } = await import('@countersign/oauth')
    return clientMetadata(signers, {
      clientId,
      clientName: required(clientName, '--client-name', 'COUNTERSIGN_CLIENT_NAME'),
      jwksUri: jwksUri || undefined,
      scope: scope || undefined,
    })
  } catch (error) {
    throw error instanceof TypeError ? new UsageError(error.message) : error
  }
}
