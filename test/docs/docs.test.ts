import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, test } from 'vitest'
import { type CodeBlock, docstringBlocks, markdownBlocks } from './code-blocks.ts'
import { type Program, programsOf } from './programs.ts'
import { typeCheck } from './type-check.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** `file:line` of each block that may be marked `no-check`, with the reason. */
const unchecked: Readonly<Record<string, string>> = {}

function filesIn(folder: string, ending: string): string[] {
  if (!existsSync(join(root, folder))) return []
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(ending))
    .map((file) => join(folder, file))
    .sort()
}

const packages = readdirSync(join(root, 'packages')).map((folder) => join('packages', folder))

const pages = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  ...filesIn('docs', '.md'),
  ...packages.map((path) => join(path, 'README.md')),
].filter((file) => existsSync(join(root, file)))

const sources = packages.flatMap((path) => filesIn(join(path, 'src'), '.ts'))

const read = (file: string): string => readFileSync(join(root, file), 'utf8')

const blocks: CodeBlock[] = [
  ...pages.flatMap((file) => markdownBlocks(file, read(file))),
  ...sources.flatMap((file) => docstringBlocks(file, read(file))),
]
const programs = programsOf(blocks)

/** The anchors that GitHub gives to the headings of a page. */
function anchorsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

test.each([
  ...pages,
  ...filesIn('examples', 'README.md').filter((file) => !file.includes('node_modules')),
])('every link of %s leads to an existing file and heading', (page) => {
  const links = [...read(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link)
  const broken = links
    .filter((link) => !/^https?:/.test(link))
    .filter((link) => {
      const [path = '', anchor] = link.split('#')
      const file = path === '' ? page : join(dirname(page), path)
      if (!existsSync(join(root, file))) return true
      return anchor !== undefined && !anchorsOf(read(file)).includes(anchor)
    })
  expect(broken).toEqual([])
})

describe('code in the documentation', () => {
  let errors: ReadonlyMap<Program, string[]>
  beforeAll(async () => {
    errors = await typeCheck('docs', programs)
  }, 120_000)

  test.each(programs.map((program) => [`${program.file}:${program.line}`, program] as const))(
    '%s compiles',
    (_where, program) => {
      expect(errors.get(program)).toEqual([])
    },
  )

  test('every block is compiled unless it is listed here with a reason', () => {
    const escaping = blocks
      .filter(({ marks }) => marks.includes('no-check'))
      .map(({ file, line }) => `${file}:${line}`)
    expect(escaping).toEqual(Object.keys(unchecked))
  })

  test('a block has no marks other than "continues" and "no-check"', () => {
    const marks = blocks.flatMap((block) => block.marks.map((mark) => `${block.file}: ${mark}`))
    expect(marks.filter((mark) => !/: (continues|no-check)$/.test(mark))).toEqual([])
  })
})
