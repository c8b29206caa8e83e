import { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { sanitize } from '@countersign/core/backend'
import { requireSecureUrl } from '@countersign/oauth/internal'
import { type KeyScheme, parseKeyUri } from '@countersign/uri'
import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js'
import { readOwnFile } from './own-file.ts'

/** One client of the configuration; `schema.json` of the package describes each member. */
export interface ClientConfiguration {
  readonly key: string
  readonly clientId: string
  readonly issuer: string
  readonly audience?: string
  readonly audiences?: readonly string[]
  readonly scopes?: readonly string[]
  readonly resources?: readonly string[]
  readonly dpop?: boolean
  readonly lifetimeSeconds?: number
  readonly typ?: string
  readonly kid?: string
  readonly clientIdInBody?: boolean
  readonly keyMaxAgeSeconds?: number
}

/** Where signatures and tokens are logged. */
export interface AuditConfiguration {
  readonly path: string
  readonly maxBytes?: number
  readonly keep?: number
  readonly onFull?: 'refuse' | 'report'
}

/** The listener on loopback. */
export interface SidecarConfiguration {
  readonly listen: string
  readonly secretFile?: string
  readonly anyLocalUser?: boolean
}

/** The configuration of an agent. */
export interface AgentConfiguration {
  readonly clients: Readonly<Record<string, ClientConfiguration>>
  readonly audit?: AuditConfiguration
  readonly sidecar?: SidecarConfiguration
}

/** The configuration is refused. The message says what to change, and contains no value of a key URI. */
export class ConfigurationError extends Error {
  readonly code: string = 'ERR_AGENT_CONFIGURATION'

  static {
    Object.defineProperty(ConfigurationError.prototype, 'name', { value: 'ConfigurationError' })
  }
}

/** `$XDG_CONFIG_HOME/countersign/agent.json`, or the same below `~/.config`. */
export function defaultConfigurationPath(
  env: Readonly<Record<string, string | undefined>> = process.env,
): string {
  const { XDG_CONFIG_HOME: folder } = env as { readonly XDG_CONFIG_HOME?: string }
  const base = folder && isAbsolute(folder) ? folder : join(homedir(), '.config')
  return join(base, 'countersign', 'agent.json')
}

/**
 * Reads and checks a configuration file. No key is opened.
 *
 * @param path - the file. Only its owner may be able to write to it, and the owner must be this user or root.
 * @param schemes - schemes of key URIs besides the built-in ones.
 * @throws {@link ConfigurationError} that says what to change.
 *
 * @example
 * ```ts
 * import { readConfiguration } from '@countersign/agent/server'
 *
 * const { clients } = await readConfiguration('/etc/countersign/agent.json')
 * console.log(Object.keys(clients))
 * ```
 *
 * @see [JSON Schema 2020-12](https://json-schema.org/draft/2020-12)
 */
export async function readConfiguration(
  path: string,
  schemes: readonly KeyScheme[] = [],
): Promise<AgentConfiguration> {
  const file = { path, what: 'The configuration', forbidden: 0o022, maxOctets: 1_000_000 }
  const text = await readOwnFile(file).catch((error: Error) => {
    throw new ConfigurationError(error.message)
  })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // Without the message of the parser, which quotes the text.
    throw new ConfigurationError(`${JSON.stringify(path)} is not JSON`)
  }
  return checkConfiguration(value, schemes)
}

/** Checks a configuration that was read; see {@link readConfiguration}. */
function checkConfiguration(
  value: unknown,
  schemes: readonly KeyScheme[] = [],
): AgentConfiguration {
  if (!matchesSchema(value)) throw refused(describeErrors(matchesSchema.errors ?? []))
  for (const [name, client] of Object.entries(value.clients)) {
    requireClient(`/clients/${name}`, client, schemes)
  }
  requireAbsolute('/audit/path', value.audit?.path)
  requireAbsolute('/sidecar/secretFile', value.sidecar?.secretFile)
  return value
}

const schema = createRequire(import.meta.url)('../schema.json') as object
const matchesSchema = new Ajv2020({ allErrors: true }).compile<AgentConfiguration>(schema)

function requireClient(
  at: string,
  { key, issuer, resources = [] }: ClientConfiguration,
  schemes: readonly KeyScheme[],
): void {
  check(`${at}/key`, () => {
    const parsed = parseKeyUri(key, { schemes })
    const { pin } = parsed as { readonly pin?: { readonly from?: unknown } }
    if (pin?.from === 'value') {
      throw new Error('The key URI has a PIN in it; write pin-source=file:/absolute/path instead')
    }
  })
  check(`${at}/issuer`, () => requireSecureUrl(issuer, 'issuer'))
  for (const [i, resource] of resources.entries()) {
    check(`${at}/resources/${i}`, () => requireSecureUrl(resource, 'resource'))
  }
}

function check(at: string, action: () => unknown): void {
  try {
    action()
  } catch (error) {
    throw refused(`${at}: ${(error as Error).message}`)
  }
}

function requireAbsolute(at: string, path: string | undefined): void {
  if (path !== undefined && !isAbsolute(path)) throw refused(`${at} must be an absolute path`)
}

const refused = (what: string) =>
  new ConfigurationError(`The configuration is refused: ${sanitize(what)}`)

/** At most three errors, without values: a value may be a secret that was put in the wrong place. */
function describeErrors(errors: readonly ErrorObject[]): string {
  const texts = errors.map(({ instancePath, message, params }) => {
    const { additionalProperty, allowedValues } = params as Record<string, unknown>
    const what =
      additionalProperty === undefined
        ? `${message}${allowedValues === undefined ? '' : `: ${String(allowedValues)}`}`
        : `must not have the member ${JSON.stringify(additionalProperty)}`
    return `${instancePath || '/'} ${what}`
  })
  return texts.slice(0, 3).join('; ')
}
