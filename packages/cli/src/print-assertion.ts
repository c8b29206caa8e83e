import { clientAssertion } from '@countersign/core'
import { assertionOptions } from './authentication.ts'
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
  const { typ, kid, audience: given, clientIdInBody } = assertionOptions(options)
  const issuer = () => required(options.issuer, '--issuer', 'COUNTERSIGN_ISSUER')
  if (given === undefined) await requireUrl(issuer(), 'issuer of --issuer')
  const audience =
    given === 'token_endpoint'
      ? await tokenEndpointOf(frame, issuer(), options)
      : (given ?? issuer())
  await using opened = await openKey(frame, key, options)
  const assertion = await frame.progress('Signing', () =>
    clientAssertion(opened.signer, {
      clientId,
      audience,
      typ,
      kid,
      lifetimeSeconds: options.lifetime,
      signal: frame.signal,
    }),
  )
  const form = {
    ...(clientIdInBody ? { client_id: clientId } : {}),
    client_assertion_type: jwtBearer,
    client_assertion: assertion,
  }
  frame.output.print(form, () => (options.form ? new URLSearchParams(form).toString() : assertion))
}

/** The token endpoint that an authorization server publishes: the one audience that takes a request to know. */
async function tokenEndpointOf(
  frame: Frame,
  issuer: string,
  { timeout }: AssertionOptions,
): Promise<string> {
  const { href } = await requireUrl(issuer, 'issuer of --issuer')
  const [{ discoverAuthorizationServer }, { requireSecureUrl, timeoutSignal }, { useProxy }] =
    await Promise.all([
      import('@countersign/oauth'),
      import('@countersign/oauth/provider'),
      import('./proxy.ts'),
    ])
  await useProxy()
  const signal = AbortSignal.any([frame.signal, timeoutSignal(timeout)])
  const as = await frame.progress('Asking the authorization server for its token endpoint', () =>
    discoverAuthorizationServer(issuer, { signal }),
  )
  requireSecureUrl(as.token_endpoint, 'token endpoint', { namedBy: href })
  return as.token_endpoint ?? ''
}
