// @ts-check
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { jwks } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { privateKeyJwt } from '@countersign/oauth'
import { exampleServers } from '@countersign/test/servers/example'
import * as oauth from 'oauth4webapi'

const { COUNTERSIGN_KEY_FILE: keyFile } = process.env
const key = keyFile
  ? await readFile(keyFile, 'utf8')
  : generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const signer = await localSigner({ key })

const servers = await exampleServers(
  { client_id: 'example-agent', token_endpoint_auth_method: 'private_key_jwt', jwks: jwks(signer) },
  { sdk: 'v1' },
)
try {
  const issuer = new URL(servers.issuer)
  const options = { [oauth.allowInsecureRequests]: issuer.protocol === 'http:' }
  const discovery = await oauth.discoveryRequest(issuer, { ...options, algorithm: 'oauth2' })
  const as = await oauth.processDiscoveryResponse(issuer, discovery)

  const client = { client_id: servers.clientId }
  const authentication = privateKeyJwt(signer)
  const wanted = { resource: servers.mcpUrl, ...(servers.scope && { scope: servers.scope }) }
  const grant = await oauth.clientCredentialsGrantRequest(
    as,
    client,
    authentication,
    wanted,
    options,
  )
  const token = await oauth.processClientCredentialsResponse(as, client, grant)
  console.log(`${as.issuer} granted a token that expires in ${token.expires_in} s`)

  if (!servers.own) {
    const response = await oauth.protectedResourceRequest(
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
    const content = [{ type: 'text', text: servers.clientId }]
    assert.deepEqual(await response.json(), { jsonrpc: '2.0', id: 1, result: { content } })
    console.log(`${servers.mcpUrl} knows who is calling: ${servers.clientId}`)
  }
} finally {
  await servers.close()
}
