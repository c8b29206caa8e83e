import { execFileSync } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { type Pkcs11SignerOptions, pkcs11Signer } from '@countersign/pkcs11'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createSoftHsm, findModule, type SoftHsm, type Token } from '../support/softhsm.js'
import { input, isSignatureOf, modes, on } from './fixtures.ts'

const packageFolder = fileURLToPath(new URL('../../packages/pkcs11/', import.meta.url))
const require = createRequire(import.meta.url)
const notForHere = `it is not a library for ${process.platform} on ${process.arch}; install the one for this machine`

let hsm: SoftHsm
let token: Token
let folder: string

beforeAll(async () => {
  hsm = createSoftHsm()
  token = await hsm.createToken('loading')
  await token.generateKey({ type: 'EC:prime256v1', label: 'key' })
  folder = mkdtempSync(join(tmpdir(), 'countersign-loading-'))
})

afterAll(() => {
  hsm?.remove()
  if (folder !== undefined) rmSync(folder, { recursive: true })
})

/** A file made from SoftHSM's library. */
function edited(name: string, edit: (library: Buffer) => Buffer): string {
  const file = join(folder, name)
  writeFileSync(file, edit(readFileSync(hsm.module)))
  return file
}

/** A library made from a line of C. */
function compiled(name: string, code: string, ...more: string[]): string {
  const file = join(folder, name)
  const args = ['-shared', '-fPIC', '-x', 'c', '-', '-o', file, ...more]
  execFileSync('cc', args, { input: code, timeout: 20_000 })
  return file
}

describe.each(modes)('$where', ({ isolate }) => {
  const open = (options: Partial<Pkcs11SignerOptions>) =>
    pkcs11Signer({ ...on(token, hsm.module), key: { label: 'key' }, isolate, ...options })

  const refusal = async (module: string) => {
    const error = await open({ module }).catch((reason) => reason)
    expect(error.code).toBe('ERR_SIGNER_CONFIG')
    return error.message
  }

  test('a path that does not exist', async () => {
    expect(await refusal('/nowhere/lib.so')).toBe(
      'There is no PKCS#11 module at /nowhere/lib.so; check "module"',
    )
  })

  test('a folder', async () => {
    expect(await refusal(folder)).toBe(`${folder} is a folder; "module" must be the path of a file`)
  })

  test.each([
    ['of another machine', (library: Buffer) => Buffer.from(library).fill(183, 18, 19)],
    ['of another word length', (library: Buffer) => Buffer.from(library).fill(1, 4, 5)],
    ['of another order of octets', (library: Buffer) => Buffer.from(library).fill(2, 5, 6)],
    ['that is a text', () => Buffer.alloc(5000, 'PKCS#11 ')],
    ['that is empty', () => Buffer.alloc(0)],
  ])('a file %s', async (name, edit) => {
    const file = edited(`${name}-${isolate}.so`, edit)
    expect(await refusal(file)).toBe(`The PKCS#11 module ${file} cannot be loaded: ${notForHere}`)
  })

  test('a library that is not a PKCS#11 module', async () => {
    const file = compiled(`other-${isolate}.so`, 'int answer(void) { return 42; }')
    expect(await refusal(file)).toBe(
      `The PKCS#11 module ${file} cannot be loaded: it is a library, but not a PKCS#11 module`,
    )
  })

  test('a library that needs another one, which is missing', async () => {
    const needed = compiled(`libneeded${isolate}.so`, 'int needed(void) { return 1; }')
    const file = compiled(
      `needs-${isolate}.so`,
      'int needed(void); int needs(void) { return needed(); }',
      `-L${folder}`,
      `-lneeded${isolate}`,
    )
    rmSync(needed)
    expect(await refusal(file)).toBe(
      `The PKCS#11 module ${file} cannot be loaded: it, or a library that it needs, was not found`,
    )
  })

  test('a bare name that the loader does not find, and one that it does', async () => {
    expect(await refusal('nowhere-to-be-found.so')).toBe(
      'The PKCS#11 module nowhere-to-be-found.so cannot be loaded: it, or a library that it needs, was not found',
    )
    expect(await refusal('libc.so.6')).toContain('a library, but not a PKCS#11 module')
  })

  test('a module that has no token', async () => {
    const module = findModule('p11-kit-trust.so') ?? hsm.module
    expect(await refusal(module)).toMatch(/^No token has label "loading"; /)
  })

  test('a relative path is that of the process that opened the signer', async () => {
    const before = process.cwd()
    process.chdir(dirname(hsm.module))
    try {
      const module = `./${hsm.module.slice(dirname(hsm.module).length + 1)}`
      await using signer = await open({ module })
      process.chdir(before)
      expect(isSignatureOf(signer, await signer.sign(input))).toBe(true)
    } finally {
      process.chdir(before)
    }
  })

  describe('pkcs11js', () => {
    /** The package as installed beside what `prepare` leaves of pkcs11js. */
    async function installed(name: string, prepare: (modules: string) => void) {
      const home = join(folder, `${name}-${isolate}`)
      mkdirSync(join(home, 'node_modules/@countersign'), { recursive: true })
      cpSync(join(packageFolder, 'dist'), join(home, 'dist'), { recursive: true })
      cpSync(join(packageFolder, 'package.json'), join(home, 'package.json'))
      symlinkSync(join(packageFolder, '../core'), join(home, 'node_modules/@countersign/core'))
      prepare(join(home, 'node_modules'))
      const built = await import(pathToFileURL(join(home, 'dist/index.js')).href)
      return built.pkcs11Signer({ ...on(token, hsm.module), key: { label: 'key' }, isolate })
    }

    const source = () => dirname(require.resolve('pkcs11js/package.json'))

    test.each([
      ['that is missing', () => {}],
      [
        'that was not built',
        (modules: string) =>
          cpSync(source(), join(modules, 'pkcs11js'), {
            recursive: true,
            filter: (file) => !/pkcs11js\/(?:build|node_modules|src)/.test(file),
          }),
      ],
      [
        'that was built for another machine',
        (modules: string) => {
          cpSync(source(), join(modules, 'pkcs11js'), {
            recursive: true,
            filter: (file) => !/obj\.target|pkcs11js\/node_modules/.test(file),
          })
          const addon = join(modules, 'pkcs11js/build/Release/pkcs11.node')
          const library = readFileSync(addon)
          rmSync(addon)
          writeFileSync(addon, library.fill(183, 18, 19))
        },
      ],
    ])('%s', async (name, prepare) => {
      await expect(installed(name, prepare)).rejects.toMatchObject({
        code: 'ERR_SIGNER_CONFIG',
        message: expect.stringMatching(
          /^pkcs11js is not built: run "(?:npm_config_nodedir=\S+ )?npm rebuild pkcs11js" \(it needs a C\+\+ compiler, make and Python 3\)/,
        ),
      })
    })
  })
})

test('files that are no longer in one folder, as in a bundle', async () => {
  const home = join(folder, 'bundled')
  mkdirSync(join(home, 'node_modules/@countersign'), { recursive: true })
  cpSync(join(packageFolder, 'dist'), join(home, 'dist'), { recursive: true })
  cpSync(join(packageFolder, 'package.json'), join(home, 'package.json'))
  symlinkSync(join(packageFolder, '../core'), join(home, 'node_modules/@countersign/core'))
  rmSync(join(home, 'dist/child.js'))
  const built = await import(pathToFileURL(join(home, 'dist/index.js')).href)
  const opening = built.pkcs11Signer({ ...on(token, hsm.module), key: { label: 'key' } })
  await expect(opening).rejects.toMatchObject({
    code: 'ERR_SIGNER_UNAVAILABLE',
    message: expect.stringMatching(/did not start \(exit code 1\); .* bundle, or set "isolate"/),
  })
})

test('importing the package loads neither pkcs11js nor a module', async () => {
  const program = `
    await import(${JSON.stringify(pathToFileURL(join(packageFolder, 'dist/index.js')).href)})
    const { sharedObjects } = process.report.getReport()
    console.log(sharedObjects.filter((file) => /pkcs11|softhsm/.test(file)).length)`
  const output = execFileSync(process.execPath, ['--input-type=module', '--eval', program], {
    timeout: 20_000,
  })
  expect(String(output).trim()).toBe('0')
})
