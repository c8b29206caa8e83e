// @ts-check
// What the clients of both majors share: the suite says by environment who they are, and the lane by
// argument how they go about it.
import { generateKeyPairSync } from 'node:crypto'
import { localSigner } from '@countersign/local'
import { clientCredentialsProvider } from '@countersign/mcp'
import { clientSecretBasic, privateKeyJwt } from '@countersign/oauth'
import { keyVaultSigner } from './azure-key-vault.mjs'
import { softHsmSigner } from './softhsm.mjs'

const [variant = '', serverUrl = ''] = process.argv.slice(2)
const {
  client_id: clientId,
  private_key_pem: pem,
  signing_algorithm: alg,
  client_secret: secret,
} = JSON.parse(process.env['MCP_CONFORMANCE_CONTEXT'] ?? '{}')

/** A client that the suite must see to be wrong. */
const faulty = variant === 'faulty'

async function authentication() {
  if (secret !== undefined) return clientSecretBasic(faulty ? `not ${secret}` : secret)
  if (variant === 'softhsm') return privateKeyJwt(await softHsmSigner(pem, alg))
  if (variant === 'azure-key-vault') return privateKeyJwt(await keyVaultSigner(pem, alg))
  const key = faulty ? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey : pem
  return privateKeyJwt(await localSigner({ key, alg }))
}

export const url = new URL(serverUrl)

export const provider = clientCredentialsProvider({
  clientId,
  authentication: await authentication(),
})

/** Whether the transport gets the provider's `fetch`, too. */
export const viaProvider = variant !== 'sdk-fetch'
