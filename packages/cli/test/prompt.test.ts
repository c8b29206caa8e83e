import { PassThrough } from 'node:stream'
import { afterEach, describe, expect, it } from 'vitest'
import { Interruption } from '../src/errors.ts'
import { promptForSecret } from '../src/open-key.ts'
import { isPrompting, openOutput, withProgress } from '../src/output.ts'

/** A terminal: what is typed, what is shown, and whether it is in raw mode. */
class Terminal extends PassThrough {
  readonly isTTY = true
  shown = ''
  isRaw = false
  readonly output = {
    isTTY: true,
    write: (text: string) => {
      this.shown += text
    },
  }
  setRawMode(on: boolean): this {
    this.isRaw = on
    return this
  }
}

const controller = new AbortController()
const prompt = (terminal: Terminal, signal = controller.signal) =>
  promptForSecret('PIN of the key', { input: terminal, output: terminal.output, signal })

const original = process.stderr.write
afterEach(() => {
  process.stderr.write = original
})

describe('a prompt for a secret', () => {
  it('shows the question, and nothing of what is typed', async () => {
    const terminal = new Terminal()
    const asked = prompt(terminal)
    expect([terminal.isRaw, isPrompting()]).toEqual([true, true])
    terminal.write('12')
    terminal.write('34\x7f5\r')
    expect(await asked).toBe('1235')
    expect(terminal.shown).toBe('PIN of the key: \n')
    expect([terminal.isRaw, isPrompting()]).toEqual([false, false])
  })

  it.each([
    ['Ctrl-C', '12\x03'],
    ['Ctrl-D', '\x04'],
  ])('is ended by %s', async (_what, typed) => {
    const terminal = new Terminal()
    const asked = prompt(terminal)
    terminal.write(typed)
    await expect(asked).rejects.toBeInstanceOf(Interruption)
    expect(terminal.isRaw).toBe(false)
  })

  it('is ended when the terminal is closed, and by its signal with the reason of the signal', async () => {
    const gone = new Terminal()
    const asked = prompt(gone)
    gone.end()
    await expect(asked).rejects.toBeInstanceOf(Interruption)

    const reason = new Error('enough')
    const abort = new AbortController()
    const terminal = new Terminal()
    const another = prompt(terminal, abort.signal)
    abort.abort(reason)
    await expect(another).rejects.toBe(reason)
    expect(terminal.isRaw).toBe(false)
    await expect(prompt(new Terminal(), abort.signal)).rejects.toBe(reason)
  })

  it('is not overwritten by a progress message', async () => {
    const terminal = new Terminal()
    const output = openOutput(false, { stdout: terminal.output, stderr: terminal.output, env: {} })
    const work = withProgress(output, 'Opening the key', () => prompt(terminal))
    await new Promise((resolve) => setTimeout(resolve, 1100))
    terminal.write('1234\r')
    await work
    expect(terminal.shown).toBe('PIN of the key: \n')
  })
})
