// @ts-check
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { subscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jwks, rotating } from '@countersign/core'
import { startAuthorizationServer } from '@countersign/demo'
import { localSigner } from '@countersign/local'
import { privateKeyJwt, tokenSource } from '@countersign/oauth'

const folder = await mkdtemp(join(tmpdir(), 'countersign-example-'))
const keyFile = join(folder, 'key.pem')
const nextFile = join(folder, 'next.pem')
for (const file of [keyFile, nextFile]) {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  await writeFile(file, privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 })
}

// The file is read again when the key is used half a second later or more.
const signer = await rotating(async () => localSigner({ key: await readFile(keyFile, 'utf8') }), {
  maxAgeSeconds: 0.5,
}).ready()
const next = await localSigner({ key: await readFile(nextFile, 'utf8') })

subscribe('countersign:rotation', (message) => {
  const { cause, outcome, kid, previousKid } =
    /** @type {import('@countersign/core').RotationMessage} */ (message)
  if (outcome === 'replaced') console.log(`${previousKid} was replaced by ${kid} (${cause})`)
})

// Both keys must be published before the switch. The authorization server reads them from here.
const published = JSON.stringify(jwks(signer, next))
const client = createServer((_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json' }).end(published)
}).listen(0, '127.0.0.1')
await once(client, 'listening')
const { port } = /** @type {import('node:net').AddressInfo} */ (client.address())

const server = await startAuthorizationServer({
  clients: [
    {
      client_id: 'example-agent',
      token_endpoint_auth_method: 'private_key_jwt',
      jwks_uri: `http://127.0.0.1:${port}/jwks.json`,
    },
  ],
})

const tokens = tokenSource({
  issuer: server.issuer,
  clientId: 'example-agent',
  authentication: privateKeyJwt(signer),
  retries: 0,
})

/** Requests tokens until the signer has this key. @param {string} kid */
async function requestUntil(kid) {
  let requests = 0
  do {
    // A refused request would throw here.
    tokens.invalidate(await tokens.token())
    requests += 1
  } while (signer.current?.kid !== kid)
  return requests
}

try {
  await requestUntil(signer.current?.kid ?? '')
  // The rename replaces the file in one step, so no reader gets an incomplete key.
  await rename(nextFile, keyFile)
  const requests = await requestUntil(next.kid)
  tokens.invalidate(await tokens.token())
  assert.equal(signer.current?.kid, next.kid)
  console.log(`After ${requests} more token requests the new key signs, and no request has failed`)
} finally {
  await signer.close()
  await server.close()
  client.close()
  await rm(folder, { recursive: true })
}
