import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { describeFailure, reportFailure } from '../src/failure.ts'
import { givenSecret } from '../src/open-key.ts'
import { openOutput } from '../src/output.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-secrets-'))
afterAll(() => rmSync(folder, { recursive: true }))

let count = 0
function file(content: string, mode = 0o600): string {
  const path = join(folder, `secret-${count++}`)
  writeFileSync(path, content, { mode })
  return path
}

const read = (pinFile: string) => givenSecret('PIN', { pinFile })

describe('a secret in a file', () => {
  it('is read without the line feed at its end, and otherwise unchanged', async () => {
    expect(await read(file(' 12 34 \n'))).toBe(' 12 34 ')
    expect(await read(file('1234\r\n'))).toBe('1234')
    expect(await read(file('12\n34\n'))).toBe('12\n34')
  })

  it.each([
    ['is empty', () => file('\n'), /^The PIN file .* is empty; write the PIN into it$/],
    ['is too long', () => file('x'.repeat(5000)), /has more than 4096 octets/],
    ['is not there', () => join(folder, 'nowhere'), /does not exist/],
    ['is a directory', () => folder, /is not a regular file or a named pipe/],
    ['can be read by the group', () => file('1234', 0o640), /mode is 0640\); run chmod 600/],
  ])('is refused when it %s', async (_what, path, why) => {
    const { code, message } = await read(path()).then(
      () => ({ code: 'read', message: '' }),
      (error) => error,
    )
    expect(code).toBe('ERR_USAGE')
    expect(message).toMatch(why)
  })
})

describe('a PIN', () => {
  afterEach(() => vi.unstubAllEnvs())

  it('comes from its file before the environment, and is in no message', async () => {
    vi.stubEnv('COUNTERSIGN_PIN', 'from-the-environment')
    const pinFile = file('from-the-file\n')
    expect(await givenSecret('PIN', { pinFile })).toBe('from-the-file')
    expect(await givenSecret('PIN', {})).toBe('from-the-environment')
    const { message } = describeFailure(new Error('no from-the-file, no from-the-environment'))
    expect(message).toMatch(/^no \[redacted\], no \[redacted\];/)
  })

  it('is not given when the variable is empty', async () => {
    vi.stubEnv('COUNTERSIGN_PIN', '')
    expect(await givenSecret('PIN', { pinFile: '' })).toBeUndefined()
  })
})

describe('output', () => {
  const written: string[] = []
  const sink = (isTTY: boolean) => ({ isTTY, write: (text: string) => written.push(text) })
  const open = (json: boolean, isTTY: boolean, env: Record<string, string> = {}) =>
    openOutput(json, { stdout: sink(isTTY), stderr: sink(isTTY), env })

  it('is coloured on a terminal only, unless the environment says otherwise', () => {
    const bold = (isTTY: boolean, env: Record<string, string>) =>
      open(false, isTTY, env).paint('bold', 'x') !== 'x'
    expect(bold(true, {})).toBe(true)
    expect(bold(false, {})).toBe(false)
    expect(bold(true, { NO_COLOR: '1' })).toBe(false)
    expect(bold(true, { NO_COLOR: '' })).toBe(true)
    expect(bold(true, { TERM: 'dumb' })).toBe(false)
    expect(bold(false, { FORCE_COLOR: '1' })).toBe(true)
    expect(bold(true, { FORCE_COLOR: '0' })).toBe(false)
  })

  it('lets no server control the terminal by JSON, which has the same value', () => {
    written.length = 0
    const value = { text: 'a\x1b[2J\u009b2J\u007f\u202e\n' }
    open(true, true).print(value, () => '')
    expect(written.join('')).not.toMatch(/[^\P{Cc}\n]|[\u2028-\u202e\u2066-\u2069]/u)
    expect(JSON.parse(written.join(''))).toEqual(value)
  })

  it('lets no server control the terminal by the stack of an error', () => {
    const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    const { exitCode } = process
    try {
      reportFailure(new Error('a\x1b]0;title\x07\u009b2J'), { json: false, verbose: true })
      expect(write.mock.calls.join('')).not.toMatch(/[^\P{Cc}\n\t]/u)
    } finally {
      write.mockRestore()
      process.exitCode = exitCode
    }
  })

  it.each(['-ey', ' ', 'Bearer '])(
    'takes a bounded time for text of a server that repeats %j',
    (word) => {
      const start = performance.now()
      describeFailure(Object.assign(new Error(word.repeat(300_000)), { name: 'ProtocolError' }))
      expect(performance.now() - start).toBeLessThan(3000)
    },
  )

  it.each([true, false])(
    'lets no server control a terminal, when it is written to one: %s',
    (isTTY) => {
      const hostile = 'a\x1b]0;title\x07\r\nb\tc\u0085\u202e\r'
      const harmless = 'a\ufffd]0;title\ufffd\nb\tc\ufffd\ufffd\ufffd'
      expect(open(false, isTTY).clean(hostile)).toBe(harmless)
    },
  )
})
