// @ts-check
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { jwks } from '@countersign/core'
import { startServers } from '@countersign/demo'
import { clientCredentialsProvider } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import { signerFromUri } from '@countersign/uri'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'

const signer = await signerFromUri(process.env['COUNTERSIGN_KEY'] || newKeyFile())

const servers = await startServers({
  client_id: 'example-agent',
  token_endpoint_auth_method: 'private_key_jwt',
  jwks: jwks(signer),
})

const provider = clientCredentialsProvider({
  clientId: 'example-agent',
  issuer: servers.issuer,
  authentication: privateKeyJwt(signer),
})
const transport = new StreamableHTTPClientTransport(new URL(servers.mcpUrl), {
  fetch: provider.fetch,
})
const client = new Client({ name: 'kms-agent', version: '1.0.0' })
try {
  await client.connect(transport)
  const { content } = await client.callTool({ name: 'whoami' })
  assert.deepEqual(content, [{ type: 'text', text: 'example-agent' }])
  console.log(`The key ${signer.kid} (${signer.alg}) authorized example-agent at ${servers.mcpUrl}`)
} finally {
  await client.close()
  await servers.close()
  await signer.close()
}

/** The URI of a new key in a temporary file, for a first run without a key service. */
function newKeyFile() {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-example-'))
  process.once('exit', () => rmSync(folder, { recursive: true }))
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const file = join(folder, 'key.pem')
  writeFileSync(file, privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 })
  return pathToFileURL(file).href
}
