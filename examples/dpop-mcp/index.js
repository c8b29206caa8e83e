// @ts-check
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { jwks } from '@countersign/core'
import { startServers } from '@countersign/demo'
import { localSigner } from '@countersign/local'
import { clientCredentialsProvider } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import * as v2 from '@modelcontextprotocol/client'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'

// In an application, the key is a file: await readFile('key.pem', 'utf8').
const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const signer = await localSigner({ key })

// This MCP server accepts only tokens that are bound to a key.
const servers = await startServers(
  {
    client_id: 'example-agent',
    token_endpoint_auth_method: 'private_key_jwt',
    jwks: jwks(signer),
  },
  { dpop: true },
)
const { issuer, mcpUrl } = servers

// Stands for anyone who sees the requests, such as a log.
let seen = new Headers()

const provider = clientCredentialsProvider({
  clientId: 'example-agent',
  issuer,
  authentication: privateKeyJwt(signer),
  dpop: true,
  fetch(input, init) {
    seen = new Headers(init?.headers)
    return fetch(input, init)
  },
})
const about = { name: 'dpop-mcp', version: '1.0.0' }
const expected = [{ type: 'text', text: 'example-agent' }]
try {
  // `provider.fetch` makes the proofs, with both majors of the SDK.
  const clientV1 = new Client(about)
  await clientV1.connect(
    new StreamableHTTPClientTransport(new URL(mcpUrl), { fetch: provider.fetch }),
  )
  assert.deepEqual((await clientV1.callTool({ name: 'whoami' })).content, expected)
  await clientV1.close()

  const clientV2 = new v2.Client(about)
  await clientV2.connect(
    new v2.StreamableHTTPClientTransport(new URL(mcpUrl), { fetch: provider.fetch }),
  )
  assert.deepEqual((await clientV2.callTool({ name: 'whoami' })).content, expected)
  await clientV2.close()

  // A stolen token is refused, as a bearer token and with the proof that was sent with it.
  const [scheme, token] = seen.get('authorization')?.split(' ') ?? []
  assert.equal(scheme, 'DPoP')
  const proof = seen.get('dpop') ?? ''
  for (const headers of [
    { authorization: `Bearer ${token}` },
    { authorization: `DPoP ${token}` },
    { authorization: `DPoP ${token}`, dpop: proof },
  ]) {
    const response = await fetch(mcpUrl, { method: 'POST', headers, body: '{}' })
    assert.equal(response.status, 401)
  }
  console.log(`example-agent called ${mcpUrl}, and its token is refused without a new proof`)
} finally {
  await servers.close()
}
