/** A code block of the documentation. */
export interface CodeBlock {
  /** Path relative to the repository. */
  readonly file: string
  /** Line of the block's first line of code, counted from 1. */
  readonly line: number
  readonly language: string
  /** The words after the language: `continues`, `no-check`. */
  readonly marks: readonly string[]
  readonly lines: readonly string[]
}

/** The fenced code blocks of a Markdown file. */
export function markdownBlocks(file: string, text: string): CodeBlock[] {
  const blocks: CodeBlock[] = []
  const lines = text.split('\n')
  for (let i = 0; i < lines.length; i++) {
    const open = /^( *)(`{3,}|~{3,}) *([^`]*)$/.exec(lines[i] ?? '')
    if (open === null) continue
    const [, indent = '', fence = '', info = ''] = open
    const start = i + 1
    const isClose = (line: string): boolean =>
      line.trim().startsWith(fence) && /^(`+|~+)$/.test(line.trim())
    do i++
    while (i < lines.length && !isClose(lines[i] ?? ''))
    const [language = '', ...marks] = info.trim().split(/\s+/)
    blocks.push({
      file,
      line: start + 1,
      language: language.toLowerCase(),
      marks,
      lines: lines
        .slice(start, i)
        .map((line) => line.replace(new RegExp(`^ {0,${indent.length}}`), '')),
    })
  }
  return blocks
}

/** The fenced code blocks in the `/** … *\/` comments of a TypeScript file. */
export function docstringBlocks(file: string, text: string): CodeBlock[] {
  let inside = false
  const comments = text.split('\n').map((line) => {
    if (/^\s*\/\*\*/.test(line)) inside = true
    const shown = inside
      ? line.replace(/^\s*(?:\/\*\*|\*(?!\/)) ?/, '').replace(/\s*\*\/.*$/, '')
      : ''
    if (line.includes('*/')) inside = false
    return shown
  })
  return markdownBlocks(file, comments.join('\n'))
}
