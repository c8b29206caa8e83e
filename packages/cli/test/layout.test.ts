import { describe, expect, it } from 'vitest'
import { layOut } from '../src/failure.ts'
import { openOutput, withProgress } from '../src/output.ts'

/** A terminal, or a pipe, and what was written to it. */
function screen(columns: number | undefined) {
  const sink = {
    isTTY: columns !== undefined,
    columns,
    text: '',
    write(text: string) {
      sink.text += text
    },
  }
  return sink
}

function open(columns: number | undefined, json = false) {
  const stdout = screen(columns)
  const stderr = screen(columns)
  return { stderr, output: openOutput(json, { stdout, stderr, env: { NO_COLOR: '1' } }) }
}

const text = 'gives the price of a book and says where it can be bought'

describe('text after a label', () => {
  it('breaks at the width of a terminal, and its lines begin below each other', () => {
    const { output } = open(30)
    expect(output.hang('price  ', text).split('\n')).toEqual([
      'price  gives the price of a',
      '       book and says where it',
      '       can be bought',
    ])
  })

  it('is one line in a pipe', () => {
    expect(open(undefined).output.hang('price  ', text)).toBe(`price  ${text}`)
  })

  it('does not break a long word, or a command in quotation marks, which may be copied', () => {
    const { output } = open(24)
    const url = 'https://mcp.example.com/a/long/path'
    expect(output.hang('- ', `see ${url} and run "npm install x y z" there`).split('\n')).toEqual([
      '- see',
      `  ${url}`,
      '  and run',
      '  "npm install x y z"',
      '  there',
    ])
  })

  it('leaves at least half of a narrow terminal to text', () => {
    for (const line of open(20).output.hang('a very long name  ', text).split('\n')) {
      expect(line.length).toBeLessThanOrEqual(24)
    }
  })

  it('counts the visible characters, and not the colour sequences', () => {
    const plain = open(30).output.hang('price  ', text)
    const coloured = open(30).output.hang('\x1b[32mprice\x1b[39m  ', text)
    expect(coloured.replace('\x1b[32m', '').replace('\x1b[39m', '')).toBe(plain)
  })
})

describe('an error', () => {
  const message = 'The key file does not exist; correct its path; or give another one with --key'

  it('is one line in a pipe', () => {
    expect(layOut(message, undefined)).toBe(`countersign: ${message}`)
  })

  it('has a line for each suggestion on a terminal, and breaks at its width', () => {
    expect(layOut(message, 40).split('\n')).toEqual([
      'countersign: The key file does not exist',
      '  - correct its path',
      '  - or give another one with --key',
    ])
    expect(layOut(message, 24).split('\n')).toEqual([
      'countersign: The key',
      '            file does',
      '            not exist',
      '  - correct its path',
      '  - or give another one',
      '    with --key',
    ])
  })
})

describe('a progress message', () => {
  const wait = () => new Promise((resolve) => setTimeout(resolve, 1100))

  it('is erased from a terminal at the end', async () => {
    const { stderr, output } = open(80)
    await withProgress(output, 'Examining', wait)
    expect(stderr.text).toBe('\r\x1b[KExamining …\r\x1b[K')
  })

  it('is a line in a pipe, and on a terminal that cannot erase it', async () => {
    const { stderr, output } = open(undefined)
    await withProgress(output, 'Examining', wait)
    expect(stderr.text).toBe('Examining …\n')
  })

  it('is not among JSON in a pipe', async () => {
    const { stderr, output } = open(undefined, true)
    await withProgress(output, 'Examining', wait)
    expect(stderr.text).toBe('')
  })
})
