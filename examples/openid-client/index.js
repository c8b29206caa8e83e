// @ts-check
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { jwks } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { privateKeyJwt } from '@countersign/oauth'
import { exampleServers } from '@countersign/test/servers/example'
import * as openid from 'openid-client'

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
  const config = await openid.discovery(
    issuer,
    servers.clientId,
    undefined,
    privateKeyJwt(signer),
    {
      algorithm: 'oauth2',
      execute: issuer.protocol === 'http:' ? [openid.allowInsecureRequests] : [],
    },
  )

  const wanted = { resource: servers.mcpUrl, ...(servers.scope && { scope: servers.scope }) }
  const token = await openid.clientCredentialsGrant(config, wanted)
  console.log(`${servers.issuer} granted a token that expires in ${token.expires_in} s`)

  if (!servers.own) {
    const response = await openid.fetchProtectedResource(
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
    const content = [{ type: 'text', text: servers.clientId }]
    assert.deepEqual(await response.json(), { jsonrpc: '2.0', id: 1, result: { content } })
    console.log(`${servers.mcpUrl} knows who is calling: ${servers.clientId}`)
  }
} finally {
  await servers.close()
}
