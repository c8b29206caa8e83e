import type { CodeBlock } from './code-blocks.ts'

/** One file to compile. Its line numbers are those of the file it was taken from. */
export interface Program {
  readonly file: string
  readonly line: number
  readonly extension: string
  readonly source: string
}

const extensions: Readonly<Record<string, string>> = {
  ts: 'ts',
  typescript: 'ts',
  mts: 'ts',
  js: 'js',
  javascript: 'js',
  mjs: 'js',
  cjs: 'cjs',
}

/**
 * The programs that code blocks make up. A block marked `continues` goes on where the block of the
 * same language before it ended; every other block is a separate program. Blocks in other languages are left
 * out, and so are those marked `no-check`.
 */
export function programsOf(blocks: readonly CodeBlock[]): Program[] {
  const programs: { file: string; line: number; extension: string; lines: string[] }[] = []
  for (const { file, line, language, marks, lines } of blocks) {
    const extension = extensions[language]
    if (extension === undefined || marks.includes('no-check')) continue
    let program = programs.findLast(
      (earlier) => earlier.file === file && earlier.extension === extension,
    )
    if (!marks.includes('continues')) {
      program = { file, line, extension, lines: [] }
      programs.push(program)
    }
    if (program === undefined) throw new Error(`${file}:${line} continues nothing`)
    const blank = line - 1 - program.lines.length
    program.lines.push(...Array.from({ length: blank }, () => ''), ...lines)
  }
  return programs.map(({ lines, ...rest }) => ({ ...rest, source: lines.join('\n') }))
}
