import { resolve } from 'node:path'
import type { ClosableSigner } from '@countersign/uri'
import { type Command, Option } from 'commander'
import { addJsonOption, type Context, defineCommand, runs } from './command.ts'
import { openDpop } from './dpop-options.ts'
import { type ExitCode, exitCodes } from './errors.ts'
import { addOpeningOptions, type KeyOptions } from './key-options.ts'

/** Options of `countersign agent`. */
interface AgentOptions extends Omit<KeyOptions, 'key'> {
  readonly config?: string
  readonly socket?: string
  readonly check?: boolean
  readonly json?: boolean
}

/** How long requests under way may take to end, and a little more. */
const graceMs = 12_000

/** `countersign agent` */
export function agentCommand(): Command {
  const command = defineCommand('agent', {
    summary: 'open keys once, and serve assertions and tokens to other programs',
    description:
      'Opens the keys of a configuration file, and serves client assertions and access tokens to the programs of this user over a Unix socket, until it is interrupted. A request names a client of the file; it cannot choose the key, the issuer or the audience. The file is read again when it changes and at SIGHUP; one that is wrong is reported, and the clients in use stay.',
    examples: [
      ['countersign agent', 'Serve the clients of ~/.config/countersign/agent.json'],
      [
        'countersign agent --check --config agent.json',
        'Check the file, and each step from each key to a token',
      ],
      [
        'COUNTERSIGN_AGENT=/run/user/1000/countersign/agent.sock countersign token --agent billing',
        'Get a token from the agent',
      ],
    ],
  })
    .addOption(
      new Option(
        '--config <path>',
        'configuration file; $XDG_CONFIG_HOME/countersign/agent.json by default',
      ).env('COUNTERSIGN_AGENT_CONFIG'),
    )
    .addOption(
      new Option(
        '--socket <path>',
        'where to listen; $XDG_RUNTIME_DIR/countersign/agent.sock by default',
      ).env('COUNTERSIGN_AGENT'),
    )
    .option('--check', 'check the configuration and each client, and end')
  return addJsonOption(addOpeningOptions(command)).action(
    runs<[], AgentOptions>(runAgent, { graceMs }),
  )
}

async function runAgent(
  context: Context,
  _arguments: readonly [],
  options: AgentOptions,
): Promise<ExitCode> {
  const [server, { useProxy }, { loadSchemes }] = await Promise.all([
    import('@countersign/agent/server'),
    import('./network.ts'),
    import('./open-key.ts'),
  ])
  const config = resolve(options.config || server.defaultConfigurationPath())
  const schemes = await loadSchemes(options.scheme)
  await useProxy()
  if (options.check) {
    const { clients } = await server.readConfiguration(config, schemes)
    return checkClients(context, clients, options)
  }
  const { output, signal } = context
  const agent = await server.startAgent({
    ...{ config, schemes },
    socket: options.socket || undefined,
    descriptor: server.activationDescriptor(),
    openKey: await keyOpener(context, options),
    report: await reporter(options.json === true),
  })
  const hangUp = () => void agent.reload()
  process.on('SIGHUP', hangUp)
  try {
    const { socket, clients } = agent
    output.print(
      { socket, clients, pid: process.pid },
      () => `The agent listens on ${socket} for ${clients.join(', ')}`,
    )
    server.notifyReady(await reporter(options.json === true))
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve()
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
  } finally {
    await agent.close()
    process.off('SIGHUP', hangUp)
  }
  return exitCodes.ok
}

/** Makes the function that opens keys, one after the other: two prompts at once would be one too many. */
async function keyOpener(context: Context, options: AgentOptions) {
  const { openKeyUri } = await import('./open-key.ts')
  const entered = new Map<string, Parameters<typeof openKeyUri>[3]>()
  let last: Promise<unknown> = Promise.resolve()

  return (uri: string, { signal }: { readonly signal: AbortSignal }): Promise<ClosableSigner> => {
    const secrets = entered.get(uri) ?? new Map()
    entered.set(uri, secrets)
    const opening = last.then(async () => {
      const own = { ...context, signal: AbortSignal.any([signal, context.signal]) }
      return (await openKeyUri(own, uri, options, secrets)).signer as ClosableSigner
    })
    last = opening.catch(() => {})
    return opening
  }
}

/** Makes the function that tells people what happened, on standard error. */
async function reporter(json: boolean): Promise<(message: string) => void> {
  const { jsonText, redact, withoutControls } = await import('./output.ts')
  return (message) => {
    const line = withoutControls(redact(message).replaceAll(/\s+/g, ' '))
    process.stderr.write(
      json ? `${jsonText({ warning: { message: line } })}\n` : `countersign: ${line}\n`,
    )
  }
}

type Clients = Awaited<
  ReturnType<typeof import('@countersign/agent/server').readConfiguration>
>['clients']

/** Runs the doctor for each client, and returns the exit code of the first failure. */
async function checkClients(
  context: Context,
  clients: Clients,
  options: AgentOptions,
): Promise<ExitCode> {
  const [{ assertionOptions }, { describeStep, keyStoreOf }, { diagnose }, { openKeyUri }] =
    await Promise.all([
      import('./authentication.ts'),
      import('./doctor.ts'),
      import('./doctor/diagnose.ts'),
      import('./open-key.ts'),
    ])
  const { output } = context
  let exitCode: ExitCode = exitCodes.ok
  const results: object[] = []
  for (const [name, client] of Object.entries(clients)) {
    const { key, clientId, issuer, scopes = [], resources = [] } = client
    const steps: object[] = []
    if (!output.json) output.print({}, () => output.paint('bold', output.clean(name)))
    const all = diagnose({
      openKey: (signal) => openKeyUri({ ...context, signal }, key, options),
      keyStore: keyStoreOf(key),
      ...{ clientId, issuer, resource: resources[0], signal: context.signal },
      openDpop: client.dpop ? () => openDpop(context, { ...options, dpop: true }) : undefined,
      scope: scopes.join(' ') || undefined,
      assertion: assertionOptions(client),
      timeoutSeconds: options.timeout,
    })
    for await (const step of all) {
      steps.push(step)
      if (!output.json) output.print(step, () => describeStep(step, output))
      if (step.state === 'failed' && exitCode === exitCodes.ok) {
        exitCode = exitCodes[step.side ?? 'refused']
      }
    }
    results.push({ client: name, steps })
  }
  if (output.json) output.print(results, () => '')
  return exitCode
}
