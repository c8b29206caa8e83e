// @ts-check
import { styleText } from 'node:util'

/** @typedef {'bold' | 'dim' | 'cyan' | 'green' | 'yellow'} Style */

const rightEdge = 78
const margin = 5
const indent = 7
const labelWidth = 23

/**
 * Lays the story out in 80 columns: numbered steps, and rows of a label and a value.
 *
 * @param {{ write: (text: string) => void, color: boolean }} output
 */
export function openPage({ write, color }) {
  /**
   * @param {Style} style
   * @param {string} text
   */
  const paint = (style, text) => (color ? styleText(style, text, { validateStream: false }) : text)
  const line = (text = '') => write(`${text}\n`)

  return {
    paint,

    /**
     * @param {string} name
     * @param {string} about
     */
    title(name, about) {
      line()
      line(`  ${paint('bold', name)}`)
      line(`  ${about}`)
      line()
    },

    /**
     * @param {number} number
     * @param {string} sentence  what happens
     * @param {string} [reference]  where it is specified
     */
    step(number, sentence, reference = '') {
      const gap = ' '.repeat(rightEdge - margin - sentence.length - reference.length)
      const right = reference && `${gap}${paint('dim', reference)}`
      line()
      line(`  ${paint('cyan', String(number))}  ${paint('bold', sentence)}${right}`)
    },

    /**
     * A request, or an answer, with the status at the right edge.
     *
     * @param {string} text
     * @param {number} [status]
     */
    exchange(text, status) {
      const gap = ' '.repeat(Math.max(1, rightEdge - margin - text.length - 3))
      const style = status === 200 ? 'green' : 'yellow'
      const right = status === undefined ? '' : `${gap}${paint(style, String(status))}`
      line(`${' '.repeat(margin)}${text}${right}`)
    },

    /**
     * @param {string} label
     * @param {string} value  is wrapped when it is long
     * @param {Style} [style]  of the value
     */
    row(label, value, style) {
      const parts = wrap(value, rightEdge - indent - labelWidth)
      for (const [index, part] of parts.entries()) {
        const left = paint('dim', (index === 0 ? label : '').padEnd(labelWidth))
        line(`${' '.repeat(indent)}${left}${style === undefined ? part : paint(style, part)}`)
      }
    },

    /**
     * Named values under one label.
     *
     * @param {string} label
     * @param {Readonly<Record<string, string>>} values
     */
    table(label, values) {
      const names = Object.keys(values)
      const width = Math.max(...names.map((name) => name.length)) + 2
      for (const [index, [name, value]] of Object.entries(values).entries()) {
        const left = (index === 0 ? label : '').padEnd(labelWidth) + name.padEnd(width)
        line(`${' '.repeat(indent)}${paint('dim', left)}${value}`)
      }
    },

    /** Ends the page. */
    end: () => line(),
  }
}

/**
 * Breaks a text into lines after spaces and, where a word is too long for one line, after slashes.
 *
 * @param {string} text
 * @param {number} width
 */
function wrap(text, width) {
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
