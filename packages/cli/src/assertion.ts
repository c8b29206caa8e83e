import { type Command, InvalidArgumentError, Option } from 'commander'
import {
  type AuthenticationOptions,
  addAuthenticationOptions,
  clientIdOption,
  issuerOption,
  required,
  requireUrl,
} from './client-options.ts'
import { addJsonOption, type Context, defineCommand, runs } from './command.ts'
import { addKeyOptions, type KeyOptions, keyArgument } from './key-options.ts'

/** Options of `countersign assertion`. */
interface AssertionOptions extends KeyOptions, AuthenticationOptions {
  readonly clientId?: string
  readonly issuer?: string
  readonly lifetime: number
  readonly form?: boolean
  readonly json?: boolean
}

/** `countersign assertion KEY` */
export function assertionCommand(): Command {
  const command = defineCommand('assertion', {
    summary: 'make a client assertion, for curl and other programs',
    description:
      'Signs a client assertion (RFC 7523) and prints it. It authenticates the client until it expires: use it for one request, and do not store it.',
    examples: [
      [
        'countersign assertion key.pem --client-id billing-agent --issuer https://as.example.com',
        'An assertion for this authorization server',
      ],
      [
        'countersign assertion key.pem --client-id billing-agent --issuer https://as.example.com --form | curl -d grant_type=client_credentials -d @- https://as.example.com/token',
        'A token request with curl; other processes cannot see the assertion',
      ],
    ],
  }).argument('[key]', keyArgument)
  addJsonOption(addKeyOptions(command)).addOption(clientIdOption()).addOption(issuerOption())
  return addAuthenticationOptions(command)
    .addOption(
      new Option('--lifetime <seconds>', 'how long the assertion is valid, 300 at most')
        .default(60)
        .argParser(lifetime),
    )
    .addOption(
      new Option('--form', 'print it as form parameters, with their names').conflicts('json'),
    )
    .action(runs<[string | undefined], AssertionOptions>(printAssertion))
}

function lifetime(value: string): number {
  const seconds = Number(value)
  if (Number.isInteger(seconds) && seconds > 0 && seconds <= 300) return seconds
  throw new InvalidArgumentError('It must be a whole number of seconds from 1 to 300.')
}

/** The registered name of a JWT as `client_assertion_type`, RFC 7523 §2.2. */
const jwtBearer = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

async function printAssertion(
  context: Context,
  [key]: readonly [string | undefined],
  options: AssertionOptions,
): Promise<undefined> {
  const [{ clientAssertion }, { assertionOptions }, { openKey }] = await Promise.all([
    import('@countersign/core'),
    import('./authentication.ts'),
    import('./open-key.ts'),
  ])
  const clientId = required(options.clientId, '--client-id', 'COUNTERSIGN_CLIENT_ID')
  const { typ, kid, audience: given, clientIdInBody } = assertionOptions(options)
  const issuer = () => required(options.issuer, '--issuer', 'COUNTERSIGN_ISSUER')
  if (given === undefined) await requireUrl(issuer(), 'issuer of --issuer')
  const audience =
    given === 'token_endpoint'
      ? await tokenEndpointOf(context, issuer(), options)
      : (given ?? issuer())
  await using opened = await openKey(context, key, options)
  const assertion = await context.progress('Signing', () =>
    clientAssertion(opened.signer, {
      clientId,
      audience,
      typ,
      kid,
      lifetimeSeconds: options.lifetime,
      signal: context.signal,
    }),
  )
  const form = {
    ...(clientIdInBody ? { client_id: clientId } : {}),
    client_assertion_type: jwtBearer,
    client_assertion: assertion,
  }
  context.output.print(form, () =>
    options.form ? new URLSearchParams(form).toString() : assertion,
  )
}

/** The token endpoint in the metadata of the authorization server. No other audience takes a request. */
async function tokenEndpointOf(
  context: Context,
  issuer: string,
  { timeout }: AssertionOptions,
): Promise<string> {
  const { href } = await requireUrl(issuer, 'issuer of --issuer')
  const [{ discoverAuthorizationServer }, { requireSecureUrl, timeoutSignal }, { useProxy }] =
    await Promise.all([
      import('@countersign/oauth'),
      import('@countersign/oauth/internal'),
      import('./network.ts'),
    ])
  await useProxy()
  const signal = AbortSignal.any([context.signal, timeoutSignal(timeout)])
  const as = await context.progress('Asking the authorization server for its token endpoint', () =>
    discoverAuthorizationServer(issuer, { signal }),
  )
  requireSecureUrl(as.token_endpoint, 'token endpoint', { namedBy: href })
  return as.token_endpoint ?? ''
}
