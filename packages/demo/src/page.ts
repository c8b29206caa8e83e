import { styleText } from 'node:util'

/** How text looks on a terminal. */
type Style = 'bold' | 'dim' | 'cyan' | 'green' | 'yellow'

const rightEdge = 78
const margin = 5
const indent = 7
const labelWidth = 23

/** A report in 80 columns: numbered steps, and rows of a label and a value. */
export interface Page {
  title(name: string, about: string): void
  /** What happens, and where it is specified. */
  step(number: number, sentence: string, reference?: string): void
  /** A request or a response, with the status at the right edge. */
  exchange(text: string, status?: number): void
  /** A label and a value, which is wrapped when it is long. */
  row(label: string, value: string, style?: Style): void
  /** Named values under one label. */
  table(label: string, values: Readonly<Record<string, string>>): void
  end(): void
}

/** Opens a page on standard output, in colour when it is a terminal (`NO_COLOR` and `FORCE_COLOR` decide first). */
export function openPage(): Page {
  const line = (text = '') => void process.stdout.write(`${text}\n`)
  const paint = (style: Style, text: string) => styleText(style, text, { stream: process.stdout })

  return {
    title(name, about) {
      line()
      line(`  ${paint('bold', name)}`)
      line(`  ${about}`)
      line()
    },

    step(number, sentence, reference = '') {
      const gap = ' '.repeat(rightEdge - margin - sentence.length - reference.length)
      const right = reference && `${gap}${paint('dim', reference)}`
      line()
      line(`  ${paint('cyan', String(number))}  ${paint('bold', sentence)}${right}`)
    },

    exchange(text, status) {
      const gap = ' '.repeat(Math.max(1, rightEdge - margin - text.length - 3))
      const style = status === 200 ? 'green' : 'yellow'
      const right = status === undefined ? '' : `${gap}${paint(style, String(status))}`
      line(`${' '.repeat(margin)}${text}${right}`)
    },

    row(label, value, style) {
      const parts = wrap(value, rightEdge - indent - labelWidth)
      for (const [index, part] of parts.entries()) {
        const left = paint('dim', (index === 0 ? label : '').padEnd(labelWidth))
        line(`${' '.repeat(indent)}${left}${style === undefined ? part : paint(style, part)}`)
      }
    },

    table(label, values) {
      const names = Object.keys(values)
      const width = Math.max(...names.map((name) => name.length)) + 2
      for (const [index, [name, value]] of Object.entries(values).entries()) {
        const left = (index === 0 ? label : '').padEnd(labelWidth) + name.padEnd(width)
        line(`${' '.repeat(indent)}${paint('dim', left)}${value}`)
      }
    },

    end: () => line(),
  }
}

/** Breaks a text into lines after spaces and, where a word is too long for one line, after slashes. */
function wrap(text: string, width: number): string[] {
  const words = text
    .split(/(?<= )/)
    .flatMap((word) => (word.length > width ? word.split(/(?<=\/)/) : [word]))
  const lines = ['']
  for (const word of words) {
    const last = lines.length - 1
    const longer = `${lines[last]}${word}`
    if (longer.trimEnd().length > width && lines[last] !== '') lines.push(word)
    else lines[last] = longer
  }
  return lines.map((part) => part.trimEnd())
}
