import { createInterface } from 'node:readline'
import { type Readable, Writable } from 'node:stream'
import { Interruption } from './interruption.ts'
import type { Sink } from './output.ts'

/** The terminal to ask on, and what ends the wait. */
export interface PromptOptions {
  readonly input: Readable
  readonly output: Sink
  readonly signal: AbortSignal
}

let prompts = 0

/** Whether somebody is being asked for a secret, and nothing else should be written to the terminal. */
export const isPrompting = (): boolean => prompts > 0

/**
 * Asks for a secret on a terminal, and shows nothing of what is typed.
 *
 * @throws `signal.reason` when aborted; {@link Interruption} on Ctrl-C and Ctrl-D.
 */
export async function promptForSecret(
  question: string,
  { input, output, signal }: PromptOptions,
): Promise<string> {
  signal.throwIfAborted()
  // The line editor repeats what is typed on its output.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input, output: nowhere, terminal: true, historySize: 0 })
  output.write(`${question}: `)
  prompts++
  try {
    return await new Promise<string>((resolve, reject) => {
      const aborted = () => reject(signal.reason)
      signal.addEventListener('abort', aborted, { once: true })
      lines.once('line', resolve)
      // In raw mode, Ctrl-C arrives as a character.
      lines.once('SIGINT', () => reject(new Interruption('interrupted at the prompt')))
      lines.once('close', () => {
        signal.removeEventListener('abort', aborted)
        reject(new Interruption('nothing was entered at the prompt'))
      })
    })
  } finally {
    prompts--
    lines.close()
    output.write('\n')
  }
}
