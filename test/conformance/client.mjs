// @ts-check
// What the clients of both majors share: the suite says by environment who they are, and the lane by
// argument how they go about it.
import { generateKeyPairSync } from 'node:crypto'
import { localSigner } from '@countersign/local'
import { clientCredentialsProvider } from '@countersign/mcp'
import { clientSecretBasic, privateKeyJwt } from '@countersign/oauth'
import { inAwsKms, inMiniStack } from './aws-kms.mjs'
import { inKeyVault } from './azure-key-vault.mjs'
import { inCloudKms } from './gcp-kms.mjs'
import { onSoftHsm } from './softhsm.mjs'

const [variant = '', serverUrl = ''] = process.argv.slice(2)
const {
  client_id: clientId,
  private_key_pem: pem,
  signing_algorithm: alg,
  client_secret: secret,
} = JSON.parse(process.env['MCP_CONFORMANCE_CONTEXT'] ?? '{}')

/** A client that the suite must see to be wrong. */
const faulty = variant === 'faulty'

/** Where a variant puts the key that the suite hands over; else it stays in memory. */
const places = new Map(
  Object.entries({
    softhsm: onSoftHsm,
    'aws-kms': inAwsKms,
    'azure-key-vault': inKeyVault,
    'gcp-kms': inCloudKms,
    ministack: inMiniStack,
  }),
)

/** What the client does in the end. */
export let leave = async () => {}

async function authentication() {
  if (secret !== undefined) return clientSecretBasic(faulty ? `not ${secret}` : secret)
  const place = places.get(variant)
  if (place !== undefined) {
    const { signer, close } = await place(pem, alg)
    leave = close
    return privateKeyJwt(signer)
  }
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
