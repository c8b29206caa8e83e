import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { bin, countersign } from './command.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-completion-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** What completing a command line offers, without what it is for. */
async function offered(...words: readonly string[]): Promise<string[]> {
  const { code, stdout } = await countersign(['complete', '--', ...words])
  expect(code).toBe(0)
  return stdout
    .split('\n')
    .flatMap((line) => (/^[:\s]|^$/.test(line) ? [] : [line.split('\t')[0]])) as string[]
}

describe('completion', () => {
  it('offers the commands, and the options of the one that was chosen', async () => {
    expect(await offered('')).toEqual(
      expect.arrayContaining(['inspect', 'jwks', 'token', 'tools', 'call', 'doctor', 'completion']),
    )
    expect(await offered('ins')).toEqual(['inspect'])
    expect(await offered('jwks', '--client-m')).toEqual(['--client-metadata'])
    expect(await offered('completion', '')).toEqual(expect.arrayContaining(['bash', 'zsh', 'fish']))
  })

  it.each(['bash', 'zsh', 'fish'])('has a script for %s that calls the command', async (shell) => {
    const { code, stdout, stderr } = await countersign(['completion', shell])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/countersign/)
    expect(stdout).toMatch(/complete --/)
  })

  it.each([
    { words: ['jw'], becomes: ['jwks'] },
    { words: ['jwks', '--client-m'], becomes: ['--client-metadata'] },
    { words: ['completion', ''], becomes: ['bash', 'zsh', 'fish'] },
  ])('completes $words in bash, where the script was sourced', async ({ words, becomes }) => {
    expect(await completedInBash(...words)).toEqual(becomes)
  })

  it('evaluates nothing of what was typed before TAB', async () => {
    const [run, written] = [join(folder, 'run'), join(folder, 'written')]
    expect(await completedInBash('jwks', `$(touch ${run})`, '>', written, '--client-m')).toEqual([
      '--client-metadata',
    ])
    expect([existsSync(run), existsSync(written)]).toEqual([false, false])
  })
})

/** What bash has for the last of the words, with nothing loaded but the script. */
async function completedInBash(...words: readonly string[]): Promise<string[]> {
  const command = join(folder, 'countersign')
  writeFileSync(command, `#!/bin/sh\nexec '${process.execPath}' '${bin}' "$@"\n`, { mode: 0o755 })
  const script = `
    eval "$(countersign completion bash)"
    COMP_WORDS=(countersign "$@")
    COMP_CWORD=$#
    $(complete -p countersign | sed -E 's/.*-F ([^ ]+) .*/\\1/')
    printf '%s\\n' "\${COMPREPLY[@]}"`
  const path = [folder, process.env['PATH']].join(':')
  const { stdout, stderr } = await promisify(execFile)(
    'bash',
    ['--norc', '-c', script, 'bash', ...words],
    { env: { PATH: path } },
  )
  expect(stderr).toBe('')
  return stdout.trim().split('\n')
}
