import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
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
      expect.arrayContaining(['inspect', 'jwks', 'token', 'tools', 'call', 'demo', 'completion']),
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

  it('works in bash, where the script was sourced', async () => {
    const command = join(folder, 'countersign')
    writeFileSync(command, `#!/bin/sh\nexec '${process.execPath}' '${bin}' "$@"\n`, { mode: 0o755 })
    // Stands in for the function of the package bash-completion that the script relies on.
    const script = `
      _get_comp_words_by_ref() { words=(countersign jw); cword=1; cur=jw; prev=countersign; }
      source <(countersign completion bash)
      $(complete -p countersign | sed -E 's/.*-F ([^ ]+) .*/\\1/')
      echo "\${COMPREPLY[*]}"`
    const path = [folder, process.env['PATH']].join(':')
    const { stdout } = await promisify(execFile)('bash', ['-c', script], { env: { PATH: path } })
    expect(stdout.trim()).toMatch(/^jwks\b/)
  })
})
