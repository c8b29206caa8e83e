// @ts-check
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { jwks } from '@countersign/core'
import { startServers } from '@countersign/demo'
import { localSigner } from '@countersign/local'
import { privateKeyJwt } from '@countersign/oauth'
import * as openid from 'openid-client'

// In an application, the key is a file: await readFile('key.pem', 'utf8').
const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const signer = await localSigner({ key })

const servers = await startServers({
  client_id: 'example-agent',
  token_endpoint_auth_method: 'private_key_jwt',
  jwks: jwks(signer),
})

try {
  const config = await openid.discovery(
    new URL(servers.issuer),
    'example-agent',
    undefined,
    privateKeyJwt(signer),
    // The servers of the demo speak plain HTTP; leave "execute" out for a real one.
    { algorithm: 'oauth2', execute: [openid.allowInsecureRequests] },
  )
  const parameters = { resource: servers.mcpUrl, scope: servers.scope }
  const token = await openid.clientCredentialsGrant(config, parameters)
  console.log(`${servers.issuer} issued a token that expires in ${token.expires_in} s`)

  const called = await openid.fetchProtectedResource(
    config,
    token.access_token,
    new URL(servers.mcpUrl),
    'POST',
    JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'whoami' } }),
    new Headers({
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    }),
  )
  assert.equal(called.status, 200)
  assert.match(await called.text(), /"text":"example-agent"/)
  console.log(`${servers.mcpUrl} accepted it for example-agent`)
} finally {
  await servers.close()
}
