import {
  type ClientCredentialsProvider,
  clientCredentialsProvider,
  withClientAuthentication,
} from '@countersign/mcp'
import { clientSecretBasic } from '@countersign/oauth'
import type {
  AuthProvider,
  StreamableHTTPClientTransportOptions as OptionsV2,
  OAuthClientProvider as ProviderV2,
  SSEClientTransportOptions as SseOptionsV2,
} from '@modelcontextprotocol/client'
import type { OAuthClientProvider as ProviderV1 } from '@modelcontextprotocol/sdk/client/auth.js'
import type { SSEClientTransportOptions as SseOptionsV1 } from '@modelcontextprotocol/sdk/client/sse.js'
import type { StreamableHTTPClientTransportOptions as OptionsV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { expect, expectTypeOf, test } from 'vitest'

// The compiler proves these; `npm run check` runs it over the tests.

const authentication = clientSecretBasic('s3cret')

test('one provider is an OAuthClientProvider of both SDK majors', () => {
  expectTypeOf<ClientCredentialsProvider>().toExtend<ProviderV1>()
  expectTypeOf<ClientCredentialsProvider>().toExtend<ProviderV2>()
})

test('its "authProvider" is an AuthProvider of v2', () => {
  expectTypeOf<ClientCredentialsProvider['authProvider']>().toExtend<AuthProvider>()
})

test('the options of every transport of both majors take the provider and its fetch', () => {
  const provider = clientCredentialsProvider({ clientId: 'agent', authentication })
  const { fetch } = provider
  const v1 = { authProvider: provider, fetch } satisfies OptionsV1 & SseOptionsV1
  const v2 = { authProvider: provider, fetch } satisfies OptionsV2 & SseOptionsV2
  const minimal = { authProvider: provider.authProvider, fetch } satisfies OptionsV2 & SseOptionsV2
  expect(v1).toEqual(v2)
  expect(minimal.fetch).toBe(fetch)
})

test('an interactive provider of either major keeps its type when client authentication is added', () => {
  const wrapV1 = (provider: ProviderV1) => withClientAuthentication(provider, authentication)
  const wrapV2 = (provider: ProviderV2) => withClientAuthentication(provider, authentication)
  expectTypeOf(wrapV1).returns.toEqualTypeOf<ProviderV1>()
  expectTypeOf(wrapV2).returns.toEqualTypeOf<ProviderV2>()
})

test('a provider that lacks a member is one of neither major', () => {
  type Lacking = Omit<ClientCredentialsProvider, 'saveTokens'>
  expectTypeOf<Lacking>().not.toExtend<ProviderV1>()
  expectTypeOf<Lacking>().not.toExtend<ProviderV2>()
})
