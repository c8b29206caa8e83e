import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { packages, root } from '../../scripts/workspace.mjs'

const page = readFileSync(join(root, 'docs/architecture.md'), 'utf8')

/** The text under a heading. */
function section(heading: string): string {
  const [, rest = ''] = page.split(`\n## ${heading}\n`)
  return rest.split('\n## ')[0] ?? ''
}

/** The source files that a numbered list of a section links to, in its order. */
function filesOf(heading: string): string[] {
  return [...section(heading).matchAll(/^\d+\. \[[^\]]+\]\(\.\.\/([^)]+)\)/gm)].map(
    ([, file = '']) => file,
  )
}

interface Measured {
  readonly importsInCycles: number
  readonly assertion: { readonly path: readonly string[]; readonly run: readonly string[] }
  readonly tokenRequest: { readonly path: readonly string[] }
}

describe('docs/architecture.md', () => {
  let measured: Measured
  beforeAll(() => {
    const script = join(root, 'scripts/architecture.mjs')
    const options = { encoding: 'utf8', timeout: 60_000 } as const
    const output = execFileSync(process.execPath, [script, '--json'], options)
    measured = JSON.parse(output)
  }, 60_000)

  test('lists the files between clientAssertion and the SDK in their order, at most 8', () => {
    expect(filesOf('One signature')).toEqual(measured.assertion.path)
    expect(measured.assertion.path.length).toBeLessThanOrEqual(8)
  })

  test('names the other files that run for one assertion', () => {
    const { path, run } = measured.assertion
    const others = run.filter((file) => !path.includes(file))
    const named = [...section('One signature').matchAll(/`([\w/-]+\.ts)`/g)]
    const files = named.map(([, name = '']) => {
      const [file, folder = 'core'] = name.split('/').reverse()
      return `packages/${folder}/src/${file}`
    })
    expect(files.sort()).toEqual(others)
  })

  test('lists the files that run for one token request, at most 10', () => {
    expect(filesOf('One token request').sort()).toEqual(measured.tokenRequest.path)
    expect(measured.tokenRequest.path.length).toBeLessThanOrEqual(10)
  })

  test('is right that no import is part of a cycle', () => {
    expect(measured.importsInCycles).toBe(0)
  })

  test('lists what the manifest of each package lets it import', () => {
    const folders = new Map(packages().map(({ folder, manifest }) => [manifest.name, folder]))
    const expected = packages().map(({ folder, path, manifest }) => {
      const names = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })
      const siblings = names.flatMap((name) => folders.get(name) ?? [])
      const { references = [] } = JSON.parse(readFileSync(join(path, 'tsconfig.json'), 'utf8'))
      const referenced = references.map(({ path }: { path: string }) => path.replace('../', ''))
      expect(referenced.sort(), `references of ${folder}`).toEqual([...siblings].sort())
      const others = names.filter((name) => !folders.has(name))
      return [folder, siblings.sort().join(', '), others.sort().join(', ')]
    })
    const rows = [...page.matchAll(/^\| \[([\w-]+)\]\([^)]+\) *\|([^|]*)\|([^|]*)\|$/gm)]
    const names = (cell = '') => (cell.match(/[\w@./-]+/g) ?? []).sort().join(', ')
    expect(rows.map(([, name, own, others]) => [name, names(own), names(others)]).sort()).toEqual(
      expected.sort(),
    )
  })

  test('names files that exist', () => {
    const files = [...page.matchAll(/\]\(\.\.\/([^)]+)\)/g)].map(([, file = '']) => file)
    expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([])
  })
})
