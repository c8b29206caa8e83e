import { generateKeyPairSync } from 'node:crypto'
import { localSigner } from '@countersign/local'
import { type ClientCredentialsProviderOptions, clientCredentialsProvider } from '@countersign/mcp'
import { type ClientAuthentication, clientSecretBasic, privateKeyJwt } from '@countersign/oauth'
import { expect, it } from 'vitest'

const authentication = clientSecretBasic('s3cret')
const options: ClientCredentialsProviderOptions = { clientId: 'agent', authentication }

it.each([
  ['nothing at all', undefined],
  ['the method none', Object.assign(() => {}, { method: 'none' })],
  [
    'a ClientAuth of another library',
    (_as: unknown, client: { client_id: string }, body: URLSearchParams) =>
      body.set('client_id', client.client_id),
  ],
  ['a name', 'private_key_jwt'],
  ['a signer', await localSigner({ key: generateKeyPairSync('ed25519').privateKey })],
])('%s is refused as an authentication, and the error says what is accepted', (_what, wrong) => {
  const authentication = wrong as unknown as ClientAuthentication
  expect(() => clientCredentialsProvider({ ...options, authentication })).toThrow(
    new TypeError(
      '"authentication" must be privateKeyJwt(…), externalAssertion(…), clientSecretBasic(…) or clientSecretPost(…); the method "none" is not accepted, because this client must authenticate',
    ),
  )
})

it.each([
  ['clientId', ''],
  ['clientId', 7],
  ['issuer', 'as.example.com'],
  ['issuer', ''],
  ['issuer', new URL('https://as.example')],
  ['serverUrl', 'mcp.example.com'],
  ['serverUrl', ''],
  ['scope', ['read', 'write']],
  ['maxScope', ['read', 'write']],
  ['metadataLifetimeSeconds', 0],
  ['metadataLifetimeSeconds', Number.NaN],
  ['timeoutSeconds', 0],
  ['timeoutSeconds', 601],
  ['timeoutSeconds', '30'],
  ['metadataLifetimeSeconds', '30'],
])('%s cannot be %o', (option, value) => {
  expect(() => clientCredentialsProvider({ ...options, [option]: value })).toThrow(
    expect.objectContaining({
      name: 'TypeError',
      message: expect.stringContaining(`"${option}" must be `),
    }),
  )
})

it('the client metadata describes the client, and contains no secret', async () => {
  const signer = await localSigner({ key: generateKeyPairSync('ed25519').privateKey })
  const named = {
    clientId: 'agent',
    clientName: 'Agent',
    scope: 'read',
    issuer: 'https://as.example',
  }
  const provider = clientCredentialsProvider({ ...named, authentication: privateKeyJwt(signer) })
  expect(provider.clientMetadata).toEqual({
    redirect_uris: [],
    grant_types: ['client_credentials'],
    token_endpoint_auth_method: 'private_key_jwt',
    client_name: 'Agent',
    scope: 'read',
  })
  expect(provider.clientInformation()).toEqual({ client_id: 'agent', issuer: 'https://as.example' })
  expect(clientCredentialsProvider(options).clientInformation()).toEqual({ client_id: 'agent' })
  expect(Object.isFrozen(provider)).toBe(true)
})
