import { stripVTControlCharacters, styleText } from 'node:util'
import { jsonText, withoutControls } from './redact.ts'

/** How a piece of text looks on a terminal. */
export type Style = 'bold' | 'dim' | 'cyan' | 'green' | 'yellow' | 'red'

/** A stream to write on, as far as it is used here. */
export interface Sink {
  readonly isTTY?: boolean | undefined
  /** Width of a terminal, in characters. */
  readonly columns?: number | undefined
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
  /** Makes text of a server or a file safe to print, on a terminal and in a pipe: it may end up on a terminal later. */
  clean(text: string): string
  /** Prints data on standard output: the value as JSON with `--json`, else the text, with a line feed behind either. */
  print(value: object, text: () => string): void
  /** Writes text behind a head; on a terminal, lines break at its width and begin where the text does. */
  hang(head: string, text: string): string
  /**
   * Says on standard error what is being waited for; nothing with `--json`, unless that is a terminal.
   *
   * @returns a function that removes it from a terminal; in a pipe it stays.
   */
  status(sentence: string): () => void
}

/** Opens standard output and standard error for a command. */
export function openOutput(json: boolean, surroundings: Surroundings = process): Output {
  const { stdout, stderr, env } = surroundings
  const colour = isColourful(surroundings)
  return {
    json,
    paint: (style, text) => (colour ? styleText(style, text, { validateStream: false }) : text),
    clean: withoutControls,
    print(value, text) {
      stdout.write(`${json ? jsonText(value, 2) : text()}\n`)
    },
    hang: (head, text) => hang(head, text, widthOf(stdout)),
    status(sentence) {
      const text = withoutControls(sentence)
      if (!stderr.isTTY || env['TERM'] === 'dumb') {
        if (!json || stderr.isTTY) stderr.write(`${text}\n`)
        return () => {}
      }
      stderr.write(`${eraseLine}${text}`)
      return () => void stderr.write(eraseLine)
    },
  }
}

const eraseLine = '\r\u001b[K'

/** The width at which lines break; `undefined` for what is not a terminal. */
export const widthOf = ({ isTTY, columns }: Sink): number | undefined =>
  isTTY && columns !== undefined && columns > 0 ? columns : undefined

/**
 * Writes text behind a head, and breaks it at spaces so that lines are no longer than the width. A word that is too long
 * stays whole, and so does what stands between quotation marks, which may be a command to copy.
 */
export function hang(head: string, text: string, width: number | undefined): string {
  if (width === undefined) return head + text
  const start = stripVTControlCharacters(head).length
  const indent = Math.min(start, Math.floor(width / 2))
  const lines: string[] = []
  let line = ''
  for (const word of text.match(/(?:"[^"]*"|[^\s"])+|"/g) ?? []) {
    const room = width - (lines.length === 0 ? start : indent)
    if (line !== '' && line.length + 1 + word.length > room) {
      lines.push(line)
      line = word
    } else line += line === '' ? word : ` ${word}`
  }
  return head + [...lines, line].join(`\n${' '.repeat(indent)}`)
}

/** Whether standard output takes colours: `NO_COLOR`, then `FORCE_COLOR`, then whether it is a terminal. */
function isColourful({ stdout, env }: Omit<Surroundings, 'stderr'>): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = env as Record<'NO_COLOR' | 'FORCE_COLOR' | 'TERM', string>
  if (NO_COLOR) return false
  return FORCE_COLOR ? FORCE_COLOR !== '0' : stdout.isTTY === true && TERM !== 'dumb'
}
