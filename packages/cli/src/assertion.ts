import { type Command, InvalidArgumentError, Option } from 'commander'
import { type AgentOption, addAgentOption, agentClient, requireNoKey } from './agent-client.ts'
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
interface AssertionOptions extends KeyOptions, AuthenticationOptions, AgentOption {
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
      ['countersign assertion --agent billing', 'An assertion of a running agent'],
    ],
  }).argument('[key]', keyArgument)
  addAgentOption(addJsonOption(addKeyOptions(command)))
    .addOption(clientIdOption())
    .addOption(issuerOption())
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
  if (options.agent !== undefined) {
    await printAgentAssertion(context, options.agent, key, options)
    return
  }
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
  printForm(
    context,
    {
      ...(clientIdInBody ? { client_id: clientId } : {}),
      client_assertion_type: jwtBearer,
      client_assertion: assertion,
    },
    options,
  )
}

function printForm(
  { output }: Context,
  form: Readonly<Record<string, string>> & { readonly client_assertion: string },
  options: AssertionOptions,
): void {
  output.print(form, () =>
    options.form ? new URLSearchParams(form).toString() : output.clean(form.client_assertion),
  )
}

/** The agent's configuration decides everything but the audience, which the options may choose among its audiences. */
async function printAgentAssertion(
  context: Context,
  agent: string | true,
  key: string | undefined,
  options: AssertionOptions,
): Promise<void> {
  requireNoKey(key)
  const { audience, issuer, clientIdInBody, timeout } = options
  const client = await agentClient(context, agent, timeout)
  const { client_id, client_assertion_type, client_assertion } = await context.progress(
    'Waiting for the agent',
    () => client.assertion({ audience: audience || issuer || undefined, signal: context.signal }),
  )
  const form = { client_assertion_type, client_assertion }
  printForm(context, clientIdInBody ? { client_id, ...form } : form, options)
}

/** Returns the token endpoint in the metadata of the authorization server. Other audiences need no request. */
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
