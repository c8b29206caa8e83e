import { type ClientCredentialsProvider, withClientAuthentication } from '@countersign/mcp'
import type { ClientAuthentication } from '@countersign/oauth'
import type { OAuthClientProvider as ProviderV2 } from '@modelcontextprotocol/client'
import type { OAuthClientProvider as ProviderV1 } from '@modelcontextprotocol/sdk/client/auth.js'
import { expectTypeOf, test } from 'vitest'

test('one provider is an OAuthClientProvider of both SDK majors', () => {
  expectTypeOf<ClientCredentialsProvider>().toExtend<ProviderV1>()
  expectTypeOf<ClientCredentialsProvider>().toExtend<ProviderV2>()
})

test('an interactive provider of either major keeps its type when client authentication is added', () => {
  const authentication = {} as ClientAuthentication
  const wrap = <P extends ProviderV1 | ProviderV2>(p: P): P =>
    withClientAuthentication(p, authentication)
  expectTypeOf(wrap<ProviderV1>).returns.toExtend<ProviderV1>()
})
