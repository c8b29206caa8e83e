import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, it } from 'vitest'
import { loadedPackages } from '../packaging/loaded-packages.mjs'

// Below test/, so that the packages that test/package.json names are found from there.
const cache = fileURLToPath(new URL('../.cache/', import.meta.url))
mkdirSync(cache, { recursive: true })
const folder = mkdtempSync(join(cache, 'imports-'))
afterAll(() => rmSync(folder, { recursive: true }))

async function loadedBy(program: string): Promise<string[]> {
  const file = join(folder, 'program.mjs')
  writeFileSync(file, program)
  return loadedPackages(folder, file)
}

const use = `
  import { generateKeyPairSync } from 'node:crypto'
  import { localSigner } from '@countersign/local'
  import { clientCredentialsProvider, withClientAuthentication } from '@countersign/mcp'
  import { privateKeyJwt } from '@countersign/oauth'
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const authentication = privateKeyJwt(await localSigner({ key: privateKey }))
  const provider = clientCredentialsProvider({ clientId: 'agent', authentication })
  await provider.tokens()
  withClientAuthentication(provider, authentication)
`

it('the package loads neither SDK, and no other package than oauth4webapi', async () => {
  expect(await loadedBy(use)).toEqual(['oauth4webapi'])
})

it('a loaded SDK is detected', async () => {
  const loaded = await loadedBy(`${use}; await import('@modelcontextprotocol/sdk/client/auth.js')`)
  expect(loaded).toContain('@modelcontextprotocol/sdk')
})
