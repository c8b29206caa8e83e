import { resolve } from 'node:path'
import type { PinSource } from '@countersign/uri'
import { type Command, Option } from 'commander'
import type { AgentOption } from './agent-client.ts'
import { type ClientOptions, required } from './client-options.ts'
import { UsageError } from './errors.ts'
import { type KeyOptions, keyUriOf } from './key-options.ts'

/** The name of a host, as `--config` takes it. */
export type HostName = 'claude' | 'claude-code' | 'vscode' | 'cursor' | 'codex' | 'gemini'

/** A program that starts MCP servers, and how it is configured. */
interface Host {
  /** Where the snippet belongs. */
  readonly file: string
  readonly format: (name: string, server: ServerEntry) => string
  /** Whether it replaces variables such as `$NAME` and `${NAME}` in the values. */
  readonly expands: boolean
}

/** A server that a host starts. */
interface ServerEntry {
  readonly command: string
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

/** JSON with a list on one line; only between values does it have a line feed. */
const json = (value: object): string =>
  JSON.stringify(value, undefined, 2).replaceAll(
    /\[\n\s*([\s\S]*?)\n\s*\]/g,
    (_list, values: string) => `[${values.replaceAll(/\n\s*/g, ' ')}]`,
  )
const mcpServers = (name: string, server: ServerEntry): string =>
  json({ mcpServers: { [name]: server } })
const typed = (name: string, server: ServerEntry): string =>
  json({ mcpServers: { [name]: { type: 'stdio', ...server } } })

/** The hosts of `--config`. */
const hosts: Readonly<Record<HostName, Host>> = {
  claude: { file: 'claude_desktop_config.json', format: mcpServers, expands: false },
  'claude-code': { file: '.mcp.json', format: typed, expands: true },
  vscode: {
    file: '.vscode/mcp.json',
    format: (name, server) => json({ servers: { [name]: { type: 'stdio', ...server } } }),
    expands: true,
  },
  cursor: { file: '~/.cursor/mcp.json', format: typed, expands: true },
  codex: { file: '~/.codex/config.toml', format: toml, expands: false },
  gemini: { file: '~/.gemini/settings.json', format: mcpServers, expands: true },
}

/** A table of TOML. Codex waits ten seconds by default, and npx needs longer when it runs for the first time. */
function toml(name: string, { command, args, env }: ServerEntry): string {
  return [
    `[mcp_servers.${name}]`,
    `command = ${tomlString(command)}`,
    `args = [${args.map(tomlString).join(', ')}]`,
    'startup_timeout_sec = 60',
    '',
    `[mcp_servers.${name}.env]`,
    ...Object.entries(env).map(([key, value]) => `${key} = ${tomlString(value)}`),
  ].join('\n')
}

/** A basic string of TOML has the escapes of JSON, and must also escape DEL. */
const tomlString = (text: string): string => JSON.stringify(text).replaceAll('\x7f', '\\u007f')

/** What a key needs on the host: packages, and variables of the environment that say where things are. */
interface KeyNeeds {
  readonly packages: readonly string[]
  /** None of them is a secret. */
  readonly variables: readonly string[]
}

const needsOfScheme: Readonly<Record<string, KeyNeeds>> = {
  awskms: {
    packages: ['@countersign/aws-kms', '@aws-sdk/client-kms'],
    variables: [
      'AWS_PROFILE',
      'AWS_REGION',
      'AWS_DEFAULT_REGION',
      'AWS_CONFIG_FILE',
      'AWS_SHARED_CREDENTIALS_FILE',
      'AWS_ROLE_ARN',
      'AWS_WEB_IDENTITY_TOKEN_FILE',
    ],
  },
  gcpkms: {
    packages: ['@countersign/gcp-kms', '@google-cloud/kms'],
    variables: ['GOOGLE_APPLICATION_CREDENTIALS'],
  },
  azurekms: {
    packages: ['@countersign/azure-key-vault', '@azure/keyvault-keys', '@azure/identity'],
    variables: [
      'AZURE_AUTHORITY_HOST',
      'AZURE_CLIENT_CERTIFICATE_PATH',
      'AZURE_CLIENT_ID',
      'AZURE_FEDERATED_TOKEN_FILE',
      'AZURE_TENANT_ID',
    ],
  },
  pkcs11: { packages: ['@countersign/pkcs11'], variables: ['SOFTHSM2_CONF'] },
}

/** `--config` */
export const configOption = (): Option =>
  new Option(
    '--config <host>',
    'print the configuration with which this host starts the proxy, and end',
  ).choices(Object.keys(hosts))

/**
 * Prints the configuration with which a host starts a command, with the options that the command line and the
 * environment give now. What has a variable goes into the host's `env`.
 *
 * @param command - the command that the host runs, after it has parsed its arguments.
 * @throws {@link UsageError} when an option cannot be in the configuration, such as a PIN.
 */
export async function printHostConfig(
  command: Command,
  host: HostName,
  url: URL,
  options: KeyOptions & Pick<ClientOptions, 'clientId'> & AgentOption,
): Promise<void> {
  const { file, format, expands } = hosts[host]
  const given = givenOptions(command)
  const needs = options.agent === undefined ? await keyNeeds(options) : agentNeeds()
  const names = ['countersign', ...needs.packages]
  const server: ServerEntry = {
    command: 'npx',
    args: [
      '-y',
      ...names.flatMap((name) => ['-p', name]),
      'countersign',
      command.name(),
      url.href,
      ...given.args,
    ],
    env: { ...needs.env, ...given.env },
  }
  const unsafe = [...server.args, ...Object.values(server.env)].find((value) => value.includes('$'))
  if (expands && unsafe !== undefined) {
    throw new UsageError(
      'An option has the character $ in its value, and this host would replace what follows it; choose a path or a name without $, or write the configuration by hand',
    )
  }
  const name = url.host.replaceAll(/[^a-z\d]+/gi, '-').replaceAll(/^-|-$/g, '')
  process.stderr.write(`Add this to ${file}:\n`)
  process.stdout.write(`${format(name, server)}\n`)
}

interface Given {
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

const paths = new Set(['pinFile', 'passphraseFile', 'secretFile'])

/** The options of a command line, without the key and `--config`: as variables where they have one. */
function givenOptions(command: Command): Given {
  const args: string[] = []
  const env: Record<string, string> = {}
  for (const option of command.options) {
    const name = option.attributeName()
    const value: unknown = command.getOptionValue(name)
    // A flag that has a variable gets it as its default.
    const isDefault = command.getOptionValueSource(name) === 'default' && value !== true
    if (['config', 'key', 'verbose'].includes(name) || isDefault) continue
    if (value === undefined || value === false || value === '') continue
    const texts = [value]
      .flat()
      .map((one) => (paths.has(name) ? absolute(String(one)) : String(one)))
    if (option.envVar !== undefined) env[option.envVar] = texts.join(' ')
    else if (value === true) args.push(option.long ?? '')
    else args.push(...texts.map((text) => `${option.long}=${text}`))
  }
  return { args, env }
}

function absolute(path: string): string {
  if (path !== '-') return resolve(path)
  throw new UsageError(
    'A secret cannot come by standard input here, which the host uses for its messages; give the path of a file',
  )
}

/** What the command needs on the host: packages, and variables of the environment. */
interface Needs {
  readonly packages: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

/** An agent opens the keys; its socket may be elsewhere than by default. */
const agentNeeds = (): Needs => ({ packages: [], env: setNow(['COUNTERSIGN_AGENT']) })

/** The packages of the key's backend, the key URI, and the variables that say where things are. */
async function keyNeeds(options: KeyOptions & Pick<ClientOptions, 'clientId'>): Promise<Needs> {
  required(options.clientId, '--client-id', 'COUNTERSIGN_CLIENT_ID')
  const uri = keyUriOf(undefined, options)
  const { readKeyUri } = await import('./open-key.ts')
  const { parsed } = await readKeyUri(uri, options)
  const pin = 'pin' in parsed ? (parsed.pin as PinSource) : undefined
  if (pin?.from === 'value') {
    throw new UsageError(
      'The key URI has the PIN in it, which must not be in a configuration; write the PIN into a file of mode 0600, and pin-source=file:/path in place of pin-value',
    )
  }
  if (parsed.scheme === 'pkcs11' && pin === undefined && !options.pinFile) {
    process.stderr.write(
      'The PIN is not part of it; add pin-source=file:/path to the key URI, or give --pin-file\n',
    )
  }
  const { packages = [], variables = [] } = needsOfScheme[parsed.scheme] ?? {}
  return {
    packages: [...packages, ...(options.scheme ?? [])],
    env: { COUNTERSIGN_KEY: uri, ...setNow(variables) },
  }
}

/** Those of the variables that are set. */
function setNow(names: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])),
  )
}
