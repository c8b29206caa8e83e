// @ts-check
// The part that the clients of both majors share: the suite passes the client's identity in an environment variable,
// and run.mjs passes a variant as an argument.
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

/** A client that the suite must find at fault. */
const faulty = variant === 'faulty'

/** Variants that import the suite's key into a key store; otherwise it stays in memory. */
const places = new Map(
  Object.entries({
    softhsm: onSoftHsm,
    'aws-kms': inAwsKms,
    'azure-key-vault': inKeyVault,
    'gcp-kms': inCloudKms,
    ministack: inMiniStack,
  }),
)

/** Closes the key store. */
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

const provider = clientCredentialsProvider({
  clientId,
  authentication: await authentication(),
  ...(variant === 'oauth-client-provider' ? { serverUrl } : {}),
})

/** The options of a transport for `fetch` alone, and of one for the SDK's own flow. */
export const connection =
  variant === 'oauth-client-provider' ? { authProvider: provider } : { fetch: provider.fetch }

/** The options of a transport of SDK v2 in every variant. */
export const connectionV2 =
  variant === 'auth-provider' ? { authProvider: provider.authProvider } : connection
