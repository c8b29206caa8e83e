import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { countersign } from './command.ts'

/** The packages of which a command loaded code, by V8's own account of every script. */
export async function loadedPackages(args: readonly string[], env: Record<string, string> = {}) {
  const coverage = mkdtempSync(join(tmpdir(), 'countersign-coverage-'))
  try {
    const { code, stderr } = await countersign(args, {
      env: { ...env, NODE_V8_COVERAGE: coverage },
    })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const urls = readdirSync(coverage).flatMap((name) =>
      JSON.parse(readFileSync(join(coverage, name), 'utf8')).result.map(
        ({ url }: { url: string }) => url,
      ),
    ) as string[]
    const names = urls.map(
      (url) =>
        /^.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1] ??
        /\/packages\/([\w-]+)\/dist\//.exec(url)?.[1],
    )
    return [...new Set(names)].filter((name) => name !== undefined).sort()
  } finally {
    rmSync(coverage, { recursive: true })
  }
}
