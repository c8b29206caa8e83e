import type { Signer } from '@countersign/core'
import {
  type ClientAuthentication,
  clientSecretBasic,
  clientSecretPost,
  externalAssertion,
  type Fetch,
  privateKeyJwt,
  type TokenSource,
} from '@countersign/oauth'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { expectTypeOf, it } from 'vitest'

it('each client authentication is a ClientAuth of oauth4webapi and of openid-client', () => {
  expectTypeOf<ClientAuthentication>().toExtend<oauth.ClientAuth>()
  expectTypeOf<ClientAuthentication>().toExtend<openid.ClientAuth>()
  for (const make of [privateKeyJwt, externalAssertion, clientSecretBasic, clientSecretPost]) {
    expectTypeOf(make).returns.toEqualTypeOf<ClientAuthentication>()
  }
  void ((as: oauth.AuthorizationServer, client: oauth.Client, signer: Signer) => {
    const parameters = { scope: 'read' }
    return oauth.clientCredentialsGrantRequest(as, client, privateKeyJwt(signer), parameters)
  })
  void ((server: openid.ServerMetadata, signer: Signer) => {
    return new openid.Configuration(server, 'agent', undefined, privateKeyJwt(signer))
  })
})

it('the fetch of a token source has the type of fetch', () => {
  expectTypeOf<TokenSource['fetch']>().toExtend<typeof globalThis.fetch>()
  expectTypeOf<typeof globalThis.fetch>().toExtend<Fetch>()
})
