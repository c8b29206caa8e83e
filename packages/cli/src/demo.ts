import type { DemoSettings } from './demo/run-demo.ts'
import type { Frame } from './frame.ts'
import { type KeyOptions, openKey } from './key-option.ts'
import { UsageError } from './usage-error.ts'

/** Runs `countersign demo`. */
export async function demo(frame: Frame, options: KeyOptions): Promise<undefined> {
  const { runDemo } = await loadDemo()
  await using opened = options.key ? await openKey(frame, undefined, options) : undefined
  const { output, signal } = frame
  const settings: DemoSettings = {
    signer: opened?.signer,
    timeoutSeconds: options.timeout,
    signal,
    write: (text) => void process.stdout.write(text),
    paint: output.paint,
  }
  await frame.progress('Running the demo', () => runDemo(settings))
}

/** The demo's servers are optional dependencies, which an installation may leave out. */
async function loadDemo(): Promise<typeof import('./demo/run-demo.ts')> {
  try {
    return await import('./demo/run-demo.ts')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new UsageError(
      'The servers of the demo were left out of this installation; install countersign with its optional dependencies',
    )
  }
}
