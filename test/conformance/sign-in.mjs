// @ts-check
// The part that the clients with a user share: the user signs in by following one redirect.
import { generateKeyPairSync } from 'node:crypto'
import { localSigner } from '@countersign/local'
import { withClientAuthentication } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import { onSoftHsm } from './softhsm.mjs'

/** @typedef {import('@modelcontextprotocol/client').OAuthClientProvider} Provider */
/** @typedef {import('@modelcontextprotocol/client').StoredOAuthTokens} Tokens */
/** @typedef {import('@modelcontextprotocol/client').StoredOAuthClientInformation} Information */

const { client_id, client_secret } = JSON.parse(process.env['MCP_CONFORMANCE_CONTEXT'] ?? '{}')

/** Stores everything in memory, except for the SDK's discovery. @implements {Provider} */
class SignInProvider {
  redirectUrl = 'http://localhost:3000/callback'
  clientMetadataUrl = 'https://conformance-test.local/client-metadata.json'
  clientMetadata = {
    client_name: 'countersign-conformance',
    redirect_uris: [this.redirectUrl],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
  }
  /** @type {Information | undefined} */
  #information = client_id === undefined ? undefined : { client_id, client_secret }
  /** @type {Tokens | undefined} */
  #tokens
  #verifier = ''
  #answer = new URLSearchParams()

  clientInformation() {
    return this.#information
  }

  /** @param {Information} information */
  saveClientInformation(information) {
    this.#information = information
  }

  tokens() {
    return this.#tokens
  }

  /** @param {Tokens} tokens */
  saveTokens(tokens) {
    this.#tokens = tokens
  }

  /** @param {string} verifier */
  saveCodeVerifier(verifier) {
    this.#verifier = verifier
  }

  codeVerifier() {
    return this.#verifier
  }

  /** @param {URL} url */
  async redirectToAuthorization(url) {
    const { headers } = await fetch(url, { redirect: 'manual' })
    this.#answer = new URL(headers.get('location') ?? '').searchParams
  }

  /** The parameters of the authorization response. */
  answer() {
    return this.#answer
  }
}

/** The suite's servers accept any client authentication, but list only `none`. @type {typeof fetch} */
async function listingPrivateKeyJwt(input, init) {
  const response = await fetch(input, init)
  if (!response.ok || !/oauth-authorization-server|openid-configuration/.test(String(input))) {
    return response
  }
  const metadata = await response.json()
  const methods = metadata.token_endpoint_auth_methods_supported ?? []
  return Response.json({
    ...metadata,
    token_endpoint_auth_methods_supported: [...methods, 'private_key_jwt'],
  })
}

export const provider = new SignInProvider()

/** Closes the key store. */
export let leave = async () => {}

const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey

/** The key of the DPoP proofs: in memory, or on a token of SoftHSM. @param {boolean} isOnHsm */
async function dpopKey(isOnHsm) {
  if (!isOnHsm) return true
  const pem = newKey().export({ format: 'pem', type: 'pkcs8' })
  const { signer, close } = await onSoftHsm(String(pem), 'ES256')
  leave = close
  return signer
}

/**
 * The options of a transport: with the variant `plain` for the provider as it is, with `wrapped` for one that
 * authenticates by an assertion, with `dpop` and `dpop-softhsm` for one that also binds its tokens to a key.
 *
 * @param {string} variant
 */
export async function connectionOf(variant) {
  if (variant === 'plain') return { authProvider: provider }
  const authentication = privateKeyJwt(await localSigner({ key: newKey() }))
  if (variant === 'wrapped') {
    const authProvider = withClientAuthentication(provider, authentication)
    return { authProvider, fetch: listingPrivateKeyJwt }
  }
  const authProvider = withClientAuthentication(provider, authentication, {
    dpop: await dpopKey(variant === 'dpop-softhsm'),
    fetch: listingPrivateKeyJwt,
  })
  return { authProvider, fetch: authProvider.fetch }
}
