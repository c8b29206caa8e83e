import { generateKeyPairSync } from 'node:crypto'
import type { Signer } from '@countersign/core'
import { localSigner } from '@countersign/local'
import {
  type ClientCredentialsProvider,
  clientCredentialsProvider,
  type SdkDiscoveryState,
} from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import { expect, it } from 'vitest'

const mcp = 'https://mcp.example/mcp'

function server(issuer: string, resource = mcp): SdkDiscoveryState {
  return {
    authorizationServerUrl: issuer,
    authorizationServerMetadata: {
      issuer,
      authorization_endpoint: `${issuer}/authorize`,
      token_endpoint: `${issuer}/token`,
      response_types_supported: ['code'],
      token_endpoint_auth_methods_supported: ['private_key_jwt'],
    },
    resourceMetadata: { resource, authorization_servers: [issuer] },
  }
}

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const signer: Signer = await localSigner({ key: privateKey })

function provider(): ClientCredentialsProvider {
  return clientCredentialsProvider({ clientId: 'agent', authentication: privateKeyJwt(signer) })
}

/** The calls of one flow, in the order in which both SDKs make them, other flows going on between any two. */
async function flow(
  { ...unbound }: ClientCredentialsProvider,
  found: SdkDiscoveryState,
): Promise<URLSearchParams> {
  await unbound.saveDiscoveryState(found)
  const resource = await unbound.validateResourceURL(new URL(mcp), found.resourceMetadata?.resource)
  await unbound.clientInformation()
  const params = await unbound.prepareTokenRequest(undefined)
  if (resource !== undefined) params.set('resource', resource.href)
  const metadata = found.authorizationServerMetadata
  const endpoint = new URL(metadata?.token_endpoint ?? '')
  await unbound.addClientAuthentication(new Headers(), params, endpoint, metadata)
  await unbound.saveTokens({
    access_token: `of ${found.authorizationServerUrl}`,
    token_type: 'bearer',
  })
  return params
}

function audience(params: URLSearchParams): unknown {
  const [, claims = ''] = (params.get('client_assertion') ?? '').split('.')
  return JSON.parse(Buffer.from(claims, 'base64url').toString()).aud
}

it('100 flows at once ask each for its own resource, with an assertion for its own server', async () => {
  const shared = provider()
  const states = Array.from({ length: 100 }, (_, number) =>
    server(`https://as-${number}.example`, number % 2 === 0 ? mcp : 'https://mcp.example'),
  )
  const asked = await Promise.all(states.map((state) => flow(shared, state)))
  for (const [number, params] of asked.entries()) {
    expect(audience(params)).toBe(`https://as-${number}.example`)
    expect(params.get('resource')).toBe(number % 2 === 0 ? mcp : 'https://mcp.example')
  }
  expect(new Set(asked.map((params) => params.get('client_assertion'))).size).toBe(100)
})

it('a refused flow leaves nothing behind for the flow beside it', async () => {
  const shared = provider()
  const honest = flow(shared, server('https://as.example'))
  const lying = flow(shared, server('https://as.example', 'https://victim.example/mcp'))
  await expect(lying).rejects.toMatchObject({ code: 'ERR_OAUTH_RESOURCE_MISMATCH' })
  expect((await honest).get('resource')).toBe(mcp)
})

it('metadata that was verified for one server is of no use at the token endpoint of another', async () => {
  const { saveDiscoveryState, addClientAuthentication } = provider()
  const state = server('https://as.example')
  saveDiscoveryState(state)
  const refused = addClientAuthentication(
    new Headers(),
    new URLSearchParams(),
    'https://other.example/token',
    state.authorizationServerMetadata,
  )
  await expect(refused).rejects.toMatchObject({ code: 'ERR_OAUTH_ISSUER_MISMATCH' })
})

it.each([
  ['none', undefined],
  ['metadata nobody showed before', server('https://as.example').authorizationServerMetadata],
])('with %s there is no assertion', async (_what, metadata) => {
  const { addClientAuthentication } = provider()
  const params = new URLSearchParams()
  await expect(
    addClientAuthentication(new Headers(), params, 'https://as.example/token', metadata),
  ).rejects.toMatchObject({ code: 'ERR_OAUTH_ISSUER_MISMATCH' })
  expect([...params]).toEqual([])
})

it('tokens that nobody asked for are not used', async () => {
  const { saveTokens, tokens } = provider()
  saveTokens({ access_token: 'a gift', token_type: 'bearer' })
  expect(await tokens()).toBeUndefined()
})

it('forgets no discovery between two flows, since it keeps none: a resource may move at any time', () => {
  expect(provider()).not.toHaveProperty('discoveryState')
})

it('a client that acts for itself sends nobody away to sign in', async () => {
  const { redirectUrl, redirectToAuthorization, codeVerifier } = provider()
  expect(redirectUrl).toBeUndefined()
  expect(redirectToAuthorization).toThrow(TypeError)
  expect(codeVerifier).toThrow(TypeError)
})
