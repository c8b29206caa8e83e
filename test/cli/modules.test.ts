import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Fixtures, startFixtures } from './fixtures.ts'
import { loadedPackages } from './loaded-packages.ts'

let fixtures: Fixtures
beforeAll(async () => {
  fixtures = await startFixtures()
})
afterAll(() => fixtures[Symbol.asyncDispose]())

it('help loads the parser of the command line, and nothing that signs or connects', async () => {
  expect(await loadedPackages(['--help'])).toEqual(['cli', 'commander'])
  expect(await loadedPackages(['call', '--help'])).toEqual(['cli', 'commander'])
})

it('a key in a file loads no other backend, no OAuth and no MCP', async () => {
  const files = ['cli', 'commander', 'core', 'local', 'uri']
  expect(await loadedPackages(['inspect', fixtures.key])).toEqual(files)
  expect(await loadedPackages(['jwks', fixtures.key])).toEqual(files)
})

it('a token loads no MCP client', async () => {
  const names = await loadedPackages(
    ['token', '--resource', fixtures.servers.mcpServer.url],
    fixtures.env,
  )
  expect(names).not.toContain('@modelcontextprotocol/client')
  expect(names).toEqual(expect.arrayContaining(['local', 'oauth', 'oauth4webapi', 'uri']))
})

it('a tool call loads no server and no other backend', async () => {
  const names = await loadedPackages(
    ['call', fixtures.servers.mcpServer.url, 'whoami'],
    fixtures.env,
  )
  expect(names).toContain('@modelcontextprotocol/client')
  for (const name of ['oidc-provider', '@modelcontextprotocol/server', 'pkcs11', 'aws-kms']) {
    expect(names).not.toContain(name)
  }
})
