import { styleText } from 'node:util'
import { jsonText, withoutControls } from './redact.ts'

/** How a piece of text looks on a terminal. */
export type Style = 'bold' | 'dim' | 'cyan' | 'green' | 'yellow' | 'red'

/** A stream to write on, as far as it is used here. */
export interface Sink {
  readonly isTTY?: boolean | undefined
  write(text: string): unknown
}

/** The streams and the environment that a command writes by. */
export interface Surroundings {
  readonly stdout: Sink
  readonly stderr: Sink
  readonly env: Readonly<Record<string, string | undefined>>
}

/** Where a command writes its data, and what it says to people. */
export interface Output {
  /** Whether data is printed as JSON. */
  readonly json: boolean
  /** Colours text for standard output, when that is a terminal and `NO_COLOR` is not set. */
  paint(style: Style, text: string): string
  /** What a server or a file said, so that it cannot steer a terminal; as it is when standard output is none. */
  clean(text: string): string
  /** Prints data on standard output: the value as JSON with `--json`, else the text, with a line feed behind either. */
  print(value: object, text: () => string): void
  /** Says something to people on standard error; nothing with `--json`, unless that is a terminal. */
  note(sentence: string): void
}

/** Opens standard output and standard error for a command. */
export function openOutput(json: boolean, surroundings: Surroundings = process): Output {
  const { stdout, stderr } = surroundings
  const colour = isColourful(surroundings)
  return {
    json,
    paint: (style, text) => (colour ? styleText(style, text, { validateStream: false }) : text),
    clean: (text) => (stdout.isTTY ? withoutControls(text) : text),
    print(value, text) {
      stdout.write(`${json ? jsonText(value, 2) : text()}\n`)
    },
    note(sentence) {
      if (!json || stderr.isTTY) stderr.write(`${withoutControls(sentence)}\n`)
    },
  }
}

/** Whether standard output takes colours: `NO_COLOR`, then `FORCE_COLOR`, then whether it is a terminal. */
function isColourful({ stdout, env }: Omit<Surroundings, 'stderr'>): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = env as Record<'NO_COLOR' | 'FORCE_COLOR' | 'TERM', string>
  if (NO_COLOR) return false
  return FORCE_COLOR ? FORCE_COLOR !== '0' : stdout.isTTY === true && TERM !== 'dumb'
}
