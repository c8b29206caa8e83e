import { styleText } from 'node:util'

const { FORCE_COLOR, NO_COLOR, TERM } = process.env

const colourful =
  !NO_COLOR && (FORCE_COLOR ? FORCE_COLOR !== '0' : process.stdout.isTTY && TERM !== 'dumb')

/** Environment for child processes whose output is kept, or that write where colours do not belong. */
export const plain = { NO_COLOR: '1', FORCE_COLOR: undefined }

/** Environment for child processes that write where this process writes. */
export const asHere = colourful ? {} : plain

/**
 * Colours `text` when standard output is a terminal and `NO_COLOR` is unset.
 *
 * @param {Parameters<typeof styleText>[0]} style
 * @param {string} text
 */
export function colour(style, text) {
  return colourful ? styleText(style, text, { validateStream: false }) : text
}

/** @param {string} sentence */
export function say(sentence) {
  console.log(colour('dim', sentence))
}

/** @param {string} title */
export function heading(title) {
  console.log(`\n${colour('bold', `── ${title} ${'─'.repeat(Math.max(0, 70 - title.length))}`)}`)
}

/** @param {number} milliseconds */
export function seconds(milliseconds) {
  return `${(milliseconds / 1000).toFixed(1)} s`
}

/**
 * Says `sentence` if `work` is still going on after a second, and how long it took at its end.
 *
 * @template T
 * @param {string} sentence
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function saySlow(sentence, work) {
  const started = performance.now()
  let said = false
  const timer = setTimeout(() => {
    said = true
    say(`${sentence} …`)
  }, 1000)
  try {
    return await work()
  } finally {
    clearTimeout(timer)
    if (said) say(`${sentence}: ${seconds(performance.now() - started)}`)
  }
}
