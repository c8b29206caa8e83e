import { stripVTControlCharacters, styleText } from 'node:util'

/** How a piece of text looks on a terminal. */
export type Style = 'bold' | 'dim' | 'cyan' | 'green' | 'yellow' | 'red'

/** The part of a stream that is used here. */
export interface Sink {
  readonly isTTY?: boolean | undefined
  /** Width of a terminal, in characters. */
  readonly columns?: number | undefined
  write(text: string): unknown
}

/** The streams and the environment of a command. */
export interface Surroundings {
  readonly stdout: Sink
  readonly stderr: Sink
  readonly env: Readonly<Record<string, string | undefined>>
}

/** Prints the data of a command, and messages for people. */
export interface Output {
  /** Whether `--json` was given. */
  readonly json: boolean
  /** Colours text for standard output, when that is a terminal and `NO_COLOR` is not set. */
  paint(style: Style, text: string): string
  /** Makes text from a server or a file safe to print. In a pipe also, because its reader may show it on a terminal. */
  clean(text: string): string
  /** Prints a line on standard output: the value as JSON with `--json`, else the text. */
  print(value: object, text: () => string): void
  /** Puts text after a label. On a terminal, lines break at its width and start where the text starts. */
  hang(head: string, text: string): string
  /**
   * Prints on standard error what the command waits for. With `--json`, only on a terminal.
   *
   * @returns a function that erases it from a terminal.
   */
  status(sentence: string): () => void
}

/** Opens the output of a command. */
export function openOutput(json: boolean, surroundings: Surroundings = process): Output {
  const { stdout, stderr, env } = surroundings
  const colour = usesColour(surroundings)
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

/** The width of a terminal, at which lines break; `undefined` for other streams. */
export const widthOf = ({ isTTY, columns }: Sink): number | undefined =>
  isTTY && columns !== undefined && columns > 0 ? columns : undefined

/**
 * Puts text after a label, and breaks it at spaces so that lines are not longer than the width. Long words stay whole,
 * and so does text between quotation marks, because it may be a command to copy.
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
function usesColour({ stdout, env }: Omit<Surroundings, 'stderr'>): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = env as Record<'NO_COLOR' | 'FORCE_COLOR' | 'TERM', string>
  if (NO_COLOR) return false
  return FORCE_COLOR ? FORCE_COLOR !== '0' : stdout.isTTY === true && TERM !== 'dumb'
}

/** How long a command waits before it prints what it waits for. */
const progressDelayMs = 1000

let erase: (() => void) | undefined
let prompts = 0

/** Prints on standard error what the command waits for, once the work takes longer than a second. */
export async function withProgress<T>(
  output: Pick<Output, 'status'>,
  sentence: string,
  work: () => Promise<T>,
): Promise<T> {
  const timer = setTimeout(() => {
    if (!isPrompting()) erase = output.status(`${sentence} …`)
  }, progressDelayMs)
  timer.unref()
  try {
    return await work()
  } finally {
    clearTimeout(timer)
    clearProgress()
  }
}

/** Erases the progress message from a terminal, so that other text can be written there. */
export function clearProgress(): void {
  erase?.()
  erase = undefined
}

/** Whether a prompt is open, so that nothing else should be written to the terminal. */
export const isPrompting = (): boolean => prompts > 0

/** Suppresses progress messages until the returned function is called. */
export function pauseProgress(): () => void {
  prompts++
  return () => {
    prompts--
  }
}

const patterns = [
  /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g,
  /\bey[\w-]{8,}\.[\w-]{8,}\.[\w-]+/g,
  /(?<=\bBearer\s+)[\w.~+/=-]{8,}/gi,
  /(?<=["']?(?:access_token|client_secret|client_assertion)["']?\s*[:=]\s*["']?)[\w.~+/=-]{8,}/gi,
  /(?<="(?:d|p|q|dp|dq|qi|priv)"\s*:\s*")[\w-]+/g,
  /(?<=\bpin-value=)[^&\s]+/gi,
]

const secrets = new Set<string>()

/** Registers a secret, such as a PIN or a token, for {@link redact}. */
export function registerSecret(value: string): void {
  if (value.length < 4) return
  secrets.add(value)
  secrets.add(encodeURIComponent(value))
}

/** A limit, because the patterns can take quadratic time, and a server decides how long its text is. */
const maxRedacted = 10_000

/**
 * Returns the first 10,000 characters of a text, with registered secrets, and what looks like a key, an assertion or a
 * token, replaced.
 */
export function redact(text: string): string {
  const longestFirst = [...secrets].sort((one, other) => other.length - one.length)
  const without = longestFirst.reduce((rest, secret) => rest.replaceAll(secret, '[redacted]'), text)
  return patterns.reduce(
    (rest, pattern) => rest.replaceAll(pattern, '[redacted]'),
    without.slice(0, maxRedacted),
  )
}

/** Control characters except line feed and tab, line separators, and characters that change the direction of text. */
const controls = /[^\P{Cc}\n\t]|[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu

/** Makes text safe to print: CRLF becomes a line feed, and other control characters become U+FFFD. */
export function withoutControls(text: string): string {
  return text.replaceAll('\r\n', '\n').replaceAll(controls, '\ufffd')
}

/** Formats JSON that is safe to print. `JSON.stringify` alone leaves C1 and bidirectional characters unescaped. */
export function jsonText(value: object, indent?: number): string {
  return JSON.stringify(value, undefined, indent).replaceAll(
    controls,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
