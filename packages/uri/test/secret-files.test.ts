import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { signerFromUri } from '@countersign/uri'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { keyPair } from '../../core/test/keys.ts'
import { refusal } from '../../core/test/outcome.ts'
import { pinFrom } from '../src/schemes/pkcs11.ts'

const secret = String(keyPair('ES256').privateKey.export({ format: 'pem', type: 'pkcs8' }))
let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-uri-'))
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

afterEach(() => {
  delete process.env['COUNTERSIGN_TEST_PIN']
})

let files = 0
function file(content: string | Uint8Array, mode = 0o600): string {
  const path = join(folder, `file ${++files}`)
  writeFileSync(path, content)
  chmodSync(path, mode)
  return path
}

/** The number of file descriptors that this process has open. */
const openFiles = () => readdirSync('/dev/fd').length

const openKey = (path: string, allowSharedFiles?: boolean) =>
  signerFromUri(pathToFileURL(path).href, { allowSharedFiles })

const readPin = async (path: string, allowSharedFiles = false) => {
  const read = pinFrom({ from: 'file', path }, allowSharedFiles)
  return typeof read === 'function' ? read() : read
}

describe.each([
  { what: 'key', read: openKey },
  { what: 'PIN', read: readPin },
])('a file with a $what', ({ what, read }) => {
  it.each([0o640, 0o604, 0o660, 0o644, 0o444, 0o777, 0o610, 0o620, 0o602])(
    'that has the mode %o is refused with what to run, unless that is allowed',
    async (mode) => {
      const path = file(secret, mode)
      const error = await refusal(() => read(path))
      expect(error.code).toBe('ERR_SIGNER_CONFIG')
      expect(error.message).toBe(
        `The ${what} file "${path}" is accessible to users other than its owner (its mode is 0${mode.toString(8)}); run chmod 600 "${path}", or set "allowSharedFiles" where nobody else can reach it`,
      )
      expect(await read(path, true)).toBeDefined()
    },
  )

  it.each([0o600, 0o400, 0o700])('that has the mode %o is read', async (mode) => {
    expect(await read(file(secret, mode))).toBeDefined()
  })

  it('is checked at the target of a symbolic link', async () => {
    const links = [0o600, 0o644].map((mode) => {
      const link = join(folder, `link ${++files}`)
      symlinkSync(file(secret, mode), link)
      return link
    })
    expect(await read(String(links[0]))).toBeDefined()
    expect((await refusal(() => read(String(links[1])))).message).toContain('chmod 600')
  })

  it('that is a pipe without a writer is refused at once', async () => {
    const path = join(folder, `pipe ${++files}`)
    execFileSync('mkfifo', ['-m', '600', path], { timeout: 10_000 })
    expect((await refusal(() => read(path))).message).toContain('is not a regular file')
  })

  it('that is a folder or a device is refused', async () => {
    const path = join(folder, `folder ${++files}`)
    mkdirSync(path, { mode: 0o700 })
    for (const each of [path, '/dev/zero']) {
      expect(await refusal(() => read(each, true))).toMatchObject({
        code: 'ERR_SIGNER_CONFIG',
        message: `The ${what} file "${each}" is not a regular file`,
      })
    }
  })

  it('that is too large is refused, whatever size it reports', async () => {
    const large = file(secret + ' '.repeat(65_536))
    // Files that Linux generates on reading report a size of zero.
    const endless = '/proc/kallsyms'
    for (const each of existsSync(endless) ? [large, endless] : [large]) {
      expect((await refusal(() => read(each, true))).message).toMatch(/has more than \d+ octets/)
    }
  })

  it('that has exactly the maximum size is read completely', async () => {
    const most = what === 'key' ? 65_536 : 1024
    expect(await read(file(secret.padEnd(most)))).toBeDefined()
    expect((await refusal(() => read(file(secret.padEnd(most + 1))))).message).toContain(
      `has more than ${most} octets`,
    )
  })

  it('is closed after it was read or refused', async () => {
    const small = file(secret)
    const pipe = join(folder, `pipe ${++files}`)
    execFileSync('mkfifo', ['-m', '600', pipe], { timeout: 10_000 })
    const refusals = [
      pipe,
      folder,
      file(secret, 0o644),
      file(secret + ' '.repeat(65_536)),
      // The kernel fails each read of it at address 0.
      '/proc/self/mem',
    ]
    const before = openFiles()
    for (let i = 0; i < 20; i++) {
      await read(small)
      for (const path of refusals) await refusal(() => read(path))
    }
    expect(openFiles() - before).toBeLessThan(10)
  })

  it('that is missing, or below a file, is reported as missing', async () => {
    const code = what === 'key' ? 'ERR_SIGNER_KEY_NOT_FOUND' : 'ERR_SIGNER_CONFIG'
    for (const path of [join(folder, 'nothing'), join(file(secret), 'below')]) {
      const error = await refusal(() => read(path))
      expect(error.code).toBe(code)
      expect(error.message).toBe(`The ${what} file "${path}" does not exist`)
    }
  })
})

describe('a PIN', () => {
  it.each([
    ['1234', '1234'],
    ['1234\n', '1234'],
    ['1234\r\n', '1234'],
    ['1234\n\n', '1234\n'],
    [' 1234 \n', ' 1234 '],
    ['påss wörd\n', 'påss wörd'],
  ])('in a file that has %j is %j: one line end is not part of it', async (content, pin) => {
    expect(await readPin(file(content))).toBe(pin)
  })

  it.each(['', '\n', '\r\n'])('is not in a file that has %j', async (content) => {
    expect((await refusal(() => readPin(file(content)))).message).toMatch(
      /^The PIN file .* is empty; write the PIN into it$/,
    )
  })

  it('must be UTF-8, and other text is not shown in the error', async () => {
    const error = await refusal(() => readPin(file(Buffer.from('CANARY\xff', 'latin1'))))
    expect(error.message).toContain('is not text in UTF-8')
    expect(error.cause).toBeUndefined()
  })

  it('is read again each time, from its file and from its variable', async () => {
    const path = file('1111')
    const inFile = pinFrom({ from: 'file', path }, false)
    const inEnvironment = pinFrom({ from: 'env', name: 'COUNTERSIGN_TEST_PIN' }, false)
    for (const pin of ['1111', '2222']) {
      writeFileSync(path, pin)
      process.env['COUNTERSIGN_TEST_PIN'] = pin
      for (const ask of [inFile, inEnvironment]) {
        expect(typeof ask === 'function' && (await ask())).toBe(pin)
      }
    }
  })

  it.each([undefined, ''])('is reported as missing when its variable is %j', async (value) => {
    if (value !== undefined) process.env['COUNTERSIGN_TEST_PIN'] = value
    const ask = pinFrom({ from: 'env', name: 'COUNTERSIGN_TEST_PIN' }, false)
    const error = await refusal(() => (typeof ask === 'function' ? ask() : ask))
    expect(error).toMatchObject({
      code: 'ERR_SIGNER_CONFIG',
      message:
        'The environment variable COUNTERSIGN_TEST_PIN, which "pin-source" names, is not set; set it to the PIN',
    })
  })
})
