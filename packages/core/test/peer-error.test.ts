import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { peerError } from '@countersign/core/backend'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { refusal } from './outcome.ts'

// Packages that Node.js itself looks up, from a program of its own.
let folder: string
const files: Record<string, string> = {
  'whole/package.json': '{ "name": "whole", "type": "module", "exports": "./index.js" }',
  'whole/index.js': 'export const answer = 42',
  'lacking/package.json': '{ "name": "lacking", "type": "module", "exports": "./index.js" }',
  'lacking/index.js': "import 'vendor-transport'",
  'torn/package.json': '{ "name": "torn", "type": "module", "exports": "./gone.js" }',
  'broken/package.json': '{ "name": "broken", "type": "module", "exports": "./index.js" }',
  'broken/index.js': "throw new Error('built for another platform')",
  'nothing/package.json': '{ "name": "nothing", "type": "module", "exports": "./index.js" }',
  'nothing/index.js': 'throw undefined',
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-peers-'))
  for (const [path, text] of Object.entries(files)) {
    const file = join(folder, 'node_modules', path)
    mkdirSync(join(file, '..'), { recursive: true })
    writeFileSync(file, text)
  }
  const names = ['absent', '@scope/absent', ...new Set(Object.keys(files).map(packageOf))]
  const imports = names.map((name) => `${JSON.stringify(name)}: () => import('${name}')`)
  writeFileSync(join(folder, 'program.mjs'), `export default { ${imports.join(', ')} }`)
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

const packageOf = (path: string) => path.split('/')[0] ?? ''

async function load(name: string): Promise<unknown> {
  const program = await import(/* @vite-ignore */ pathToFileURL(join(folder, 'program.mjs')).href)
  return importing(name, program.default[name])
}

async function importing(name: string, load: () => unknown) {
  try {
    return await load()
  } catch (cause) {
    throw peerError(name, cause, 'test-vault')
  }
}

describe('a peer', () => {
  it('that is installed is handed over', async () => {
    expect(await load('whole')).toMatchObject({ answer: 42 })
  })

  it.each(['absent', '@scope/absent'])('that is not installed is named: %s', async (name) => {
    const error = await refusal(() => load(name))
    expect(error).toMatchObject({ code: 'ERR_SIGNER_CONFIG', backend: 'test-vault' })
    expect(error.message).toBe(`The package ${name} is not installed; run "npm install ${name}"`)
    expect(error.cause).toMatchObject({ code: 'ERR_MODULE_NOT_FOUND' })
  })

  it('is named with the packages that it needs', async () => {
    const { cause } = await refusal(() => load('absent'))
    expect(peerError('absent', cause, 'test-vault', ['vendor-sdk', 'other']).message).toBe(
      'The package absent is not installed; run "npm install absent vendor-sdk other"',
    )
  })

  it('that "require" does not find is named, too', async () => {
    const require = createRequire(import.meta.url)
    const name: string = 'absent'
    const error = await refusal(() => importing(name, () => require(name)))
    expect(error.message).toMatch(/is not installed/)
  })

  it.each(['lacking', 'torn', 'broken', 'nothing'])(
    'that is installed and cannot be loaded is not said to be absent: %s',
    async (name) => {
      const error = await refusal(() => load(name))
      expect(error.code).toBe('ERR_SIGNER_CONFIG')
      expect(error.message).toBe(
        `The package ${name} cannot be loaded on Node.js ${process.versions.node}; the cause says why`,
      )
    },
  )
})
