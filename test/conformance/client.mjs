// @ts-check
// The part that the clients of both majors share: the suite passes the client's identity in an environment variable,
// and run.mjs passes a variant as an argument.
import { generateKeyPairSync } from 'node:crypto'
import { localSigner } from '@countersign/local'
import {
  clientCredentialsProvider,
  enterpriseManagedProvider,
  workloadIdentityProvider,
} from '@countersign/mcp'
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
  valid_jwt: validJwt,
  wrong_audience_jwt: wrongAudienceJwt,
  expired_jwt: expiredJwt,
  idp_id_token: idToken,
  idp_client_id: idpClientId,
  idp_issuer: idpIssuer,
  idp_token_endpoint: idpTokenEndpoint,
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

const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey

/** @param {string} key  PKCS#8 @param {import('@countersign/core').JwsAlgorithm} alg */
async function byKey(key, alg) {
  const place = places.get(variant)
  if (place === undefined) return privateKeyJwt(await localSigner({ key, alg }))
  const { signer, close } = await place(key, alg)
  leave = close
  return privateKeyJwt(signer)
}

async function authentication() {
  if (secret !== undefined) return clientSecretBasic(faulty ? `not ${secret}` : secret)
  return faulty ? privateKeyJwt(await localSigner({ key: newKey() })) : byKey(pem, alg)
}

/** The suite's identity provider accepts every authentication, but lists none. */
async function identityProvider() {
  const key = String(newKey().export({ format: 'pem', type: 'pkcs8' }))
  return {
    issuer: idpIssuer,
    clientId: idpClientId,
    authentication: await byKey(key, 'ES256'),
    metadata: {
      issuer: idpIssuer,
      token_endpoint: idpTokenEndpoint,
      token_endpoint_auth_methods_supported: ['private_key_jwt'],
    },
  }
}

export const url = new URL(serverUrl)

const options = { clientId, ...(variant === 'oauth-client-provider' ? { serverUrl } : {}) }

async function makeProvider() {
  if (validJwt !== undefined) {
    const jwts = new Map([
      ['faulty', wrongAudienceJwt],
      ['expired', expiredJwt],
    ])
    return workloadIdentityProvider({ ...options, token: () => jwts.get(variant) ?? validJwt })
  }
  const client = { ...options, authentication: await authentication() }
  if (idToken === undefined) return clientCredentialsProvider(client)
  const idp = await identityProvider()
  return enterpriseManagedProvider({ ...client, idp, subjectToken: () => idToken })
}

const provider = await makeProvider()

/** The options of a transport for `fetch` alone, and of one for the SDK's own flow. */
export const connection =
  variant === 'oauth-client-provider' ? { authProvider: provider } : { fetch: provider.fetch }

/** The options of a transport of SDK v2 in every variant. */
export const connectionV2 =
  variant === 'auth-provider' ? { authProvider: provider.authProvider } : connection
