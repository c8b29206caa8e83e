// @ts-check
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { jwks } from '@countersign/core'
import { startServers } from '@countersign/demo'
import { localSigner } from '@countersign/local'
import { privateKeyJwt } from '@countersign/oauth'
import * as oauth from 'oauth4webapi'

// In an application, the key is a file: await readFile('key.pem', 'utf8').
const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const signer = await localSigner({ key })

const servers = await startServers({
  client_id: 'example-agent',
  token_endpoint_auth_method: 'private_key_jwt',
  jwks: jwks(signer),
})

try {
  const issuer = new URL(servers.issuer)
  // The servers of the demo speak plain HTTP; leave this out for a real one.
  const options = { [oauth.allowInsecureRequests]: true }
  const discovery = await oauth.discoveryRequest(issuer, { ...options, algorithm: 'oauth2' })
  const as = await oauth.processDiscoveryResponse(issuer, discovery)

  const client = { client_id: 'example-agent' }
  const parameters = { resource: servers.mcpUrl, scope: servers.scope }
  const response = await oauth.clientCredentialsGrantRequest(
    as,
    client,
    privateKeyJwt(signer),
    parameters,
    options,
  )
  const token = await oauth.processClientCredentialsResponse(as, client, response)
  console.log(`${as.issuer} issued a token that expires in ${token.expires_in} s`)

  const called = await oauth.protectedResourceRequest(
    token.access_token,
    'POST',
    new URL(servers.mcpUrl),
    new Headers({
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    }),
    JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'whoami' } }),
    options,
  )
  assert.equal(called.status, 200)
  assert.match(await called.text(), /"text":"example-agent"/)
  console.log(`${servers.mcpUrl} accepted it for example-agent`)
} finally {
  await servers.close()
}
