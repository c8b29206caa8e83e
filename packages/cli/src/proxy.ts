import { type Command, Option } from 'commander'
import { type AgentOption, addAgentOption } from './agent-client.ts'
import { addClientOptions, type ClientOptions, required, requireUrl } from './client-options.ts'
import { type Context, defineCommand, runs } from './command.ts'
import { addDpopOptions, type DpopOptions } from './dpop-options.ts'
import { UsageError } from './errors.ts'
import { configOption, type HostName } from './host-config.ts'
import { addKeyOptions, type KeyOptions } from './key-options.ts'

/** Options of `countersign proxy`. */
export interface ProxyOptions extends KeyOptions, ClientOptions, AgentOption, DpopOptions {
  readonly allowTool?: readonly string[]
  readonly denyTool?: readonly string[]
  readonly readOnly?: boolean
  readonly config?: HostName
  readonly listen?: string
  readonly allowOrigin?: readonly string[]
  readonly secretFile?: string
}

/** `countersign proxy URL` */
export function proxyCommand(): Command {
  const command = defineCommand('proxy', {
    summary: 'connect a host that knows no OAuth to an MCP server',
    description:
      'Runs a local MCP server on standard input and output, for a host such as an editor or a chat program. It forwards all messages to a remote MCP server, and authorizes them with the key. It waits for a server that cannot be reached, for as long as --timeout says, and starts a new session when the server has forgotten the old one. It ends when the host closes standard input. With --listen it serves Streamable HTTP at the path /mcp instead, until it is interrupted; on TCP, hosts send a secret as a bearer token.',
    examples: [
      [
        'countersign proxy https://mcp.example.com/mcp --key /etc/agent/key.pem --client-id billing-agent',
        'The command of an MCP server in the configuration of a host',
      ],
      [
        'countersign proxy https://mcp.example.com/mcp --agent billing',
        'With the token that a running agent shares',
      ],
      [
        'countersign proxy https://mcp.example.com/mcp --key /etc/agent/key.pem --client-id billing-agent --config vscode',
        'Print the configuration of a host',
      ],
      [
        'countersign proxy https://mcp.example.com/mcp --agent billing --listen unix:/run/user/1000/countersign/mcp.sock',
        'A local MCP server for several programs',
      ],
    ],
  }).argument('[url]', 'MCP server (env: COUNTERSIGN_MCP_URL)')
  return addAgentOption(addDpopOptions(addClientOptions(addKeyOptions(command))))
    .addOption(
      new Option(
        '--allow-tool <pattern>',
        'show only tools whose names match, with * for any characters; may be repeated; this and the next two are a convenience and no protection, because the server decides what the token may do',
      ).argParser(collect),
    )
    .addOption(
      new Option(
        '--deny-tool <pattern>',
        'hide tools whose names match; may be repeated',
      ).argParser(collect),
    )
    .option('--read-only', 'show only tools that say of themselves that they change nothing')
    .option(
      '--listen <address>',
      'serve Streamable HTTP on 127.0.0.1:PORT or unix:PATH; port 0 chooses a free one',
    )
    .option(
      '--secret-file <path>',
      'file with the secret that hosts on TCP send as a bearer token; without it, a new one is printed',
    )
    .addOption(
      new Option(
        '--allow-origin <origin>',
        'accept requests whose header Origin has this value; may be repeated',
      ).argParser(collect),
    )
    .addOption(configOption())
    .action(
      runs<[string | undefined], ProxyOptions>(
        (context, args, options) =>
          options.config === undefined
            ? runProxy(context, args, options)
            : printConfig(command, options.config, args, options),
        { graceMs },
      ),
    )
}

async function printConfig(
  command: Command,
  host: HostName,
  [argument]: readonly [string | undefined],
  options: ProxyOptions,
): Promise<undefined> {
  const { printHostConfig } = await import('./host-config.ts')
  await printHostConfig(command, host, await serverUrl(argument), options)
}

/** Calls under way get 2 seconds, and the session and the key are closed after that. */
const graceMs = 4000

const collect = (value: string, before: readonly string[] = []): string[] => [...before, value]

async function runProxy(
  context: Context,
  [argument]: readonly [string | undefined],
  options: ProxyOptions,
): Promise<undefined> {
  const { answerFirstRequest, describeFor, noticeLine } = await import('./proxy/report.ts')
  let opened: Opened
  try {
    opened = await open(context, argument, options)
  } catch (error) {
    if (options.listen === undefined) {
      await answerFirstRequest(process.stdin, process.stdout, error, options.timeout)
    }
    throw error
  }
  await using authorization = opened.authorization
  const describe = describeFor(opened.url, options.timeout)
  const { openUpstream } = await import('./proxy/upstream.ts')
  const upstream = openUpstream({
    ...{ url: opened.url, fetch: authorization.fetch, describe, notice: noticeLine },
    timeoutSeconds: options.timeout,
  })
  const { openToolList } = await import('./proxy/tool-list.ts')
  const { toolFilter } = await import('./proxy/tool-filter.ts')
  const tools = openToolList()
  const forward = {
    ...{ upstream, describe, explain: authorization.explain },
    ...{ notice: noticeLine, signal: context.signal },
    ...{ tools, filter: toolFilter(options, tools) },
  }
  if (options.listen !== undefined) {
    const { serveHttp } = await import('./proxy/listen.ts')
    const secret = await secretOf(options, options.listen)
    const origins = options.allowOrigin ?? []
    await serveHttp({ ...forward, address: options.listen, secret, origins })
    return
  }
  const { serveStdio } = await import('./proxy/stdio.ts')
  await serveStdio({
    ...forward,
    input: process.stdin,
    output: process.stdout,
    graceSeconds: options.timeout,
  })
}

/** The secret of the file, or a new one, which is printed once. */
async function secretOf(
  { secretFile, allowSharedFiles = false }: ProxyOptions,
  address: string,
): Promise<string> {
  if (secretFile !== undefined) {
    const { readSecretText } = await import('@countersign/uri/internal')
    return readSecretText({
      ...{ path: secretFile, secret: 'proxy secret', absent: 'ERR_SIGNER_CONFIG' },
      ...{ maxOctets: 4096, allowShared: allowSharedFiles },
    })
  }
  const { randomBytes } = await import('node:crypto')
  const secret = randomBytes(32).toString('base64url')
  if (!address.startsWith('unix:')) {
    process.stderr.write(`countersign: hosts send this header: Authorization: Bearer ${secret}\n`)
  }
  return secret
}

interface Opened {
  readonly url: URL
  readonly authorization: Awaited<
    ReturnType<typeof import('./proxy/authorization.ts')['openAuthorization']>
  >
}

async function open(
  context: Context,
  argument: string | undefined,
  options: ProxyOptions,
): Promise<Opened> {
  const url = await serverUrl(argument)
  if (options.pinFile === '-' || options.passphraseFile === '-') {
    throw new UsageError(
      'Standard input has the messages of the host; give the PIN or the passphrase in a file or in an environment variable',
    )
  }
  const { openAuthorization } = await import('./proxy/authorization.ts')
  return { url, authorization: await openAuthorization(context, url, options) }
}

function serverUrl(argument: string | undefined): Promise<URL> {
  const given = required(
    argument || process.env['COUNTERSIGN_MCP_URL'],
    'URL of the MCP server',
    'COUNTERSIGN_MCP_URL',
  )
  return requireUrl(given, 'URL of the MCP server')
}
