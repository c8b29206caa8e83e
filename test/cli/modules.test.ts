import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { countersign } from './command.ts'
import { openScene, type Scene } from './scene.ts'

let scene: Scene
beforeAll(async () => {
  scene = await openScene()
})
afterAll(() => scene[Symbol.asyncDispose]())

/** The packages of which a command loaded code, by V8's own account of every script. */
async function loaded(args: readonly string[], env: Record<string, string> = {}) {
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

it('help loads the parser of the command line, and nothing that signs or connects', async () => {
  expect(await loaded(['--help'])).toEqual(['cli', 'commander'])
  expect(await loaded(['call', '--help'])).toEqual(['cli', 'commander'])
})

it('a key in a file loads no other backend, no OAuth and no MCP', async () => {
  const files = ['cli', 'commander', 'core', 'local', 'uri']
  expect(await loaded(['inspect', scene.key])).toEqual(files)
  expect(await loaded(['jwks', scene.key])).toEqual(files)
})

it('a token loads no MCP client', async () => {
  const names = await loaded(['token', '--resource', scene.servers.mcpServer.url], scene.env)
  expect(names).not.toContain('@modelcontextprotocol/client')
  expect(names).toEqual(expect.arrayContaining(['local', 'oauth', 'oauth4webapi', 'uri']))
})

it('a tool call loads no server and no other backend', async () => {
  const names = await loaded(['call', scene.servers.mcpServer.url, 'whoami'], scene.env)
  expect(names).toContain('@modelcontextprotocol/client')
  for (const name of ['oidc-provider', '@modelcontextprotocol/server', 'pkcs11', 'aws-kms']) {
    expect(names).not.toContain(name)
  }
})
