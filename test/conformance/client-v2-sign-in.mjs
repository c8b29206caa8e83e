// @ts-check
// A client with a user, on SDK v2: `node client-v2-sign-in.mjs plain|wrapped URL`. The user signs in by following one
// redirect. With `wrapped`, each token request has an assertion that is signed with the client's own key.
import { generateKeyPairSync } from 'node:crypto'
import { localSigner } from '@countersign/local'
import { withClientAuthentication } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import {
  Client,
  StreamableHTTPClientTransport,
  UnauthorizedError,
} from '@modelcontextprotocol/client'

/** @typedef {import('@modelcontextprotocol/client').OAuthClientProvider} Provider */
/** @typedef {import('@modelcontextprotocol/client').StoredOAuthTokens} Tokens */
/** @typedef {import('@modelcontextprotocol/client').StoredOAuthClientInformation} Information */

const [variant = '', serverUrl = ''] = process.argv.slice(2)
const { client_id, client_secret } = JSON.parse(process.env['MCP_CONFORMANCE_CONTEXT'] ?? '{}')
const version = process.env['MCP_CONFORMANCE_PROTOCOL_VERSION'] ?? ''
/** @type {import('@modelcontextprotocol/client').ClientOptions} */
const asVersion = version < '2026-07-28' ? {} : { versionNegotiation: { mode: { pin: version } } }

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

const provider = new SignInProvider()
const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const options =
  variant === 'wrapped'
    ? {
        authProvider: withClientAuthentication(provider, privateKeyJwt(await localSigner({ key }))),
        fetch: listingPrivateKeyJwt,
      }
    : { authProvider: provider }

/** The number of sign-ins that a step-up may need. */
const maxSignIns = 2

/**
 * @template T
 * @param {() => StreamableHTTPClientTransport} transport
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
async function signingIn(transport, work) {
  for (let signIns = 0; ; signIns++) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof UnauthorizedError) || signIns === maxSignIns) throw error
      await transport().finishAuth(provider.answer())
    }
  }
}

/** @type {Client} */
let client
/** @type {StreamableHTTPClientTransport} */
let transport
const current = () => transport
await signingIn(current, async () => {
  client = new Client({ name: 'countersign-conformance', version: '1.0.0' }, asVersion)
  transport = new StreamableHTTPClientTransport(new URL(serverUrl), options)
  await client.connect(transport)
})
await signingIn(current, () => client.listTools())
await signingIn(current, () => client.callTool({ name: 'test-tool', arguments: {} }))
await client.close()
