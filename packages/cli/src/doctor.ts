import { type Command, Option } from 'commander'
import { addClientOptions, type ClientOptions, required } from './client-options.ts'
import { addJsonOption, type Context, defineCommand, runs } from './command.ts'
import type { StepResult, StepState } from './doctor/step.ts'
import { addDpopOptions, type DpopOptions, openDpop, wantsDpop } from './dpop-options.ts'
import { type ExitCode, exitCodes, UsageError } from './errors.ts'
import { addKeyOptions, type KeyOptions, keyUriOf } from './key-options.ts'
import type { Output, Style } from './output.ts'

/** Options of `countersign doctor`. */
interface DoctorOptions extends KeyOptions, ClientOptions, DpopOptions {
  readonly mcp?: string
  readonly resource?: string
}

/** `countersign doctor` */
export function doctorCommand(): Command {
  const command = defineCommand('doctor', {
    summary: 'find out which step between a key and a tool fails',
    description:
      'Checks each step from the key to the tools of an MCP server, or to a token when only --issuer is given, and prints what was found, what was expected and what to do. It makes a signature, requests a token and lists the tools; it does not call a tool. When the client or the request is refused, it sends up to six more token requests, each with one change that some servers need, and names the option that helps. With --dpop or --dpop-key, all of it is done with tokens that are bound to a key; without, it says if a server demands that.',
    examples: [
      [
        'countersign doctor --key key.pem --client-id billing-agent --mcp https://mcp.example.com/mcp',
        'All steps, to the tools of an MCP server',
      ],
      [
        'countersign doctor --key awskms:///alias/agent --client-id billing-agent --issuer https://as.example.com',
        'Only the key and the authorization server',
      ],
      [
        'countersign doctor --key key.pem --client-id billing-agent --mcp https://mcp.example.com/mcp --json | jq \'.[] | select(.state == "failed")\'',
        'The step that failed',
      ],
    ],
  })
  return addJsonOption(addDpopOptions(addClientOptions(addKeyOptions(command))))
    .addOption(new Option('--mcp <url>', 'URL of the MCP server').env('COUNTERSIGN_MCP_URL'))
    .addOption(
      new Option('--resource <url>', 'resource that the token is for, RFC 8707').conflicts('mcp'),
    )
    .action(runs<[], DoctorOptions>(runDoctor))
}

async function runDoctor(
  context: Context,
  _arguments: readonly [],
  options: DoctorOptions,
): Promise<ExitCode> {
  const { output, signal } = context
  const uri = keyUriOf(undefined, options)
  const clientId = required(options.clientId, '--client-id', 'COUNTERSIGN_CLIENT_ID')
  if (!options.mcp && !options.issuer) {
    throw new UsageError(
      '--mcp or --issuer is missing; give one, or set COUNTERSIGN_MCP_URL or COUNTERSIGN_ISSUER',
    )
  }
  const [{ assertionOptions }, { diagnose }, { useProxy }, { openKeyUri }] = await Promise.all([
    import('./authentication.ts'),
    import('./doctor/diagnose.ts'),
    import('./network.ts'),
    import('./open-key.ts'),
  ])
  await useProxy()
  const steps: StepResult[] = []
  const all = diagnose({
    openKey: (signal) => openKeyUri({ ...context, signal }, uri, options),
    keyStore: keyStoreOf(uri),
    clientId,
    openDpop: wantsDpop(options)
      ? (signal) => openDpop({ ...context, signal }, options)
      : undefined,
    mcp: options.mcp || undefined,
    issuer: options.issuer || undefined,
    resource: options.resource || undefined,
    scope: options.scope || undefined,
    maxScope: options.maxScope || undefined,
    assertion: assertionOptions(options),
    timeoutSeconds: options.timeout,
    signal,
  })
  let next = all.next()
  for (;;) {
    const { value: step, done } = await context.progress('Checking', () => next)
    if (done) break
    steps.push(step)
    if (!output.json) output.print(step, () => describeStep(step, output))
    next = all.next()
  }
  if (output.json) output.print(steps, () => '')
  const { side = 'ok' } = steps.find(({ state }) => state === 'failed') ?? {}
  return exitCodes[side]
}

/** The name of the key store of a key URI, for messages. */
export const keyStoreOf = (uri: string): string =>
  keyStores[uri.slice(0, uri.indexOf(':')).toLowerCase()] ?? 'the key store'

/** The names of the key stores, by the scheme of the key URI. */
const keyStores: Readonly<Record<string, string>> = {
  file: 'the file system',
  awskms: 'AWS KMS',
  gcpkms: 'Google Cloud KMS',
  azurekms: 'Azure Key Vault',
  pkcs11: 'the PKCS#11 token',
}

const marks: { readonly [state in StepState]: readonly [mark: string, style: Style] } = {
  ok: ['✓', 'green'],
  warning: ['!', 'yellow'],
  failed: ['✗', 'red'],
  'not reached': ['-', 'dim'],
}

const width = 'authentication method'.length

/** Describes a step in one line, or in several when there is something to do. */
export function describeStep(
  { name, state, found, expected, remedy }: StepResult,
  output: Output,
): string {
  const [mark, style] = marks[state]
  const row = (head: string, text: string) => output.hang(`${head}  `, output.clean(text))
  const first = row(`${output.paint(style, mark)} ${name.padEnd(width)}`, found ?? state)
  if (remedy === undefined) return first
  // Several suggestions are numbered; each gets a line.
  const suggestions = remedy.split(/; (?=\(\d+\) )/)
  const more = [
    ['expected', expected],
    ...suggestions.map((suggestion, at) => [at === 0 ? 'to do' : '', suggestion]),
  ].map(([label = '', text = '']) => row(`  ${output.paint('dim', label.padStart(width))}`, text))
  return [first, ...more].join('\n')
}
