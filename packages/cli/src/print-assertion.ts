import { clientAssertion } from '@countersign/core'
import { required, requireUrl } from './client-options.ts'
import type { AssertionOptions } from './commands/assertion.ts'
import type { Frame } from './frame.ts'
import { openKey } from './key-option.ts'

/** The registered name of a JWT as `client_assertion_type`, RFC 7523 §2.2. */
const jwtBearer = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** Runs `countersign assertion`. */
export async function printAssertion(
  frame: Frame,
  key: string | undefined,
  options: AssertionOptions,
): Promise<undefined> {
  const clientId = required(options.clientId, '--client-id', 'COUNTERSIGN_CLIENT_ID')
  const audience = options.audience || required(options.issuer, '--issuer', 'COUNTERSIGN_ISSUER')
  if (!options.audience) await requireUrl(audience, 'issuer of --issuer')
  await using opened = await openKey(frame, key, options)
  const assertion = await frame.progress('Signing', () =>
    clientAssertion(opened.signer, {
      clientId,
      audience,
      lifetimeSeconds: options.lifetime,
      signal: frame.signal,
    }),
  )
  const form = { client_assertion_type: jwtBearer, client_assertion: assertion }
  frame.output.print(form, () => (options.form ? new URLSearchParams(form).toString() : assertion))
}
