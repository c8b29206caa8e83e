import { execFile } from 'node:child_process'
import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { localSigner } from '@countersign/local'
import { expect, it } from 'vitest'
import { majors } from './clients.ts'
import { startServers } from './servers.ts'

const imports = {
  v1: `
    import { Client } from '@modelcontextprotocol/sdk/client/index.js'
    import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'`,
  v2: `
    import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'`,
}

const program = `
  import { localSigner } from '@countersign/local'
  import { clientCredentialsProvider } from '@countersign/mcp'
  import { privateKeyJwt } from '@countersign/oauth'
  const { KEY, URL: url } = process.env
  const authentication = privateKeyJwt(await localSigner({ key: KEY }))
  const provider = clientCredentialsProvider({ clientId: 'agent', authentication })
  const client = new Client({ name: 'exit', version: '1.0.0' })
  const options = { fetch: provider.fetch }
  await client.connect(new StreamableHTTPClientTransport(new globalThis.URL(url), options))
  const { content } = await client.callTool({ name: 'whoami' })
  await client.close()
  console.log(content[0].text)`

it.each(majors)('a process whose client on SDK %s is closed ends by itself', async (major) => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' })
  const { mcp } = await startServers({ signer: await localSigner({ key: createPrivateKey(key) }) })
  const started = performance.now()
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module', '--eval', imports[major] + program],
    {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
      env: { ...process.env, KEY: key.toString(), URL: mcp.url },
      timeout: 25_000,
    },
  )
  expect(stdout).toBe('agent\n')
  expect(stderr).toBe('')
  // The deadlines of a renewal are 30 seconds.
  expect(performance.now() - started).toBeLessThan(20_000)
})
