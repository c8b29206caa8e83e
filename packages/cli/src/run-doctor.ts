import { assertionOptions } from './authentication.ts'
import { required } from './client-options.ts'
import type { DoctorOptions } from './commands/doctor.ts'
import { diagnose } from './doctor/diagnose.ts'
import type { StepResult, StepState } from './doctor/step.ts'
import { type ExitCode, exitCodes } from './exit-code.ts'
import type { Frame } from './frame.ts'
import { keyUriOf } from './key-option.ts'
import { openUri } from './open-uri.ts'
import type { Output, Style } from './output.ts'
import { useProxy } from './proxy.ts'
import { UsageError } from './usage-error.ts'

/** Runs `countersign doctor`. */
export async function runDoctor(frame: Frame, options: DoctorOptions): Promise<ExitCode> {
  const { output, signal } = frame
  const uri = keyUriOf(undefined, options)
  const clientId = required(options.clientId, '--client-id', 'COUNTERSIGN_CLIENT_ID')
  if (!options.mcp && !options.issuer) {
    throw new UsageError(
      '--mcp or --issuer is missing; give one, or set COUNTERSIGN_MCP_URL or COUNTERSIGN_ISSUER',
    )
  }
  await useProxy()
  const steps: StepResult[] = []
  const all = diagnose({
    openKey: (signal) => openUri({ ...frame, signal }, uri, options),
    keyStore: keyStores[uri.slice(0, uri.indexOf(':')).toLowerCase()] ?? 'the key store',
    clientId,
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
    const { value: step, done } = await frame.progress('Examining', () => next)
    if (done) break
    steps.push(step)
    if (!output.json) output.print(step, () => describe(step, output))
    next = all.next()
  }
  if (output.json) output.print(steps, () => '')
  const { side = 'ok' } = steps.find(({ state }) => state === 'failed') ?? {}
  return exitCodes[side]
}

/** Where a key is, by the scheme of its URI. */
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

function describe({ name, state, found, expected, remedy }: StepResult, output: Output): string {
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
