// @ts-check
import { runDemo } from './run-demo.js'

const { FORCE_COLOR, NO_COLOR, TERM } = process.env
const terminal = process.stdout.isTTY && TERM !== 'dumb'

// Whoever reads only the first lines has closed the pipe before the last ones.
process.stdout.on('error', (/** @type {NodeJS.ErrnoException} */ error) => {
  if (error.code !== 'EPIPE') throw error
})

try {
  await runDemo({
    write: (text) => process.stdout.write(text),
    color: !NO_COLOR && (FORCE_COLOR ? FORCE_COLOR !== '0' : terminal),
  })
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
}
