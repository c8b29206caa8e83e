// @ts-check
import assert from 'node:assert/strict'
import { subscribe } from 'node:diagnostics_channel'
import { rm } from 'node:fs/promises'
import { jwks, rotating } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { privateKeyJwt, tokenSource } from '@countersign/oauth'
import { startAuthorizationServer } from '@countersign/test/servers/authorization-server'
import { listenOnLoopback } from '@countersign/test/servers/loopback'
import { createKeyFile } from './key-file.js'

const file = await createKeyFile()
const nextKey = file.generate()

// The key is known by the name of its file, and loaded anew when it is used half a second later.
const signer = await rotating(async () => localSigner({ key: await file.read() }), {
  maxAgeSeconds: 0.5,
}).ready()
const next = await localSigner({ key: nextKey })

subscribe('countersign:rotation', (message) => {
  const { cause, outcome, kid, previousKid } =
    /** @type {import('@countersign/core').RotationMessage} */ (message)
  if (outcome === 'replaced') console.log(`${previousKid} was replaced by ${kid} (${cause})`)
})

// The one duty: both keys are published before the switch.
const published = JSON.stringify(jwks(signer, next))
const client = await listenOnLoopback((_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json' }).end(published)
})
const server = await startAuthorizationServer()
await server.registerClient({
  client_id: 'example-agent',
  token_endpoint_auth_method: 'private_key_jwt',
  jwks_uri: `${client.origin}/jwks.json`,
})

const tokens = tokenSource({
  issuer: server.issuer,
  clientId: 'example-agent',
  authentication: privateKeyJwt(signer),
  retries: 0,
})

/** Asks for one token after the other until the key in use is this one. @param {string} kid */
async function askUntil(kid) {
  let asked = 0
  do {
    tokens.invalidate(await tokens.token())
    asked += 1
  } while (server.tokenRequests.at(-1)?.assertion?.header.kid !== kid)
  return asked
}

try {
  const current = signer.current?.kid ?? ''
  await askUntil(current)
  await file.replace(nextKey)
  const asked = await askUntil(next.kid)
  const statuses = new Set(server.tokenRequests.map(({ status }) => status))
  assert.deepEqual([...statuses], [200])
  console.log(`${asked} tokens later the new key signs, and no request has failed`)
} finally {
  await signer.close()
  await server.close()
  await client.close()
  await rm(file.folder, { recursive: true })
}
