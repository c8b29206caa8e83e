import { assertionProvider, type Signer } from '@countersign/core'
import {
  type ClientAuthentication,
  externalAssertion,
  privateKeyJwt,
  tokenSource,
} from '@countersign/oauth'
import { expect, it } from 'vitest'
import { startAuthorizationServer } from '../servers/authorization-server.js'
import { closing, es256Signer, refusal } from './fixtures.ts'

const RESOURCE = 'https://resource.test/mcp'

async function startServer(known: Signer) {
  return closing(
    await startAuthorizationServer({
      resources: { [RESOURCE]: ['read'] },
      clients: [
        {
          client_id: 'agent',
          token_endpoint_auth_method: 'private_key_jwt',
          jwks: { keys: [known.publicJwk] },
        },
      ],
    }),
  )
}

function sourceAt(issuer: string, authentication: ClientAuthentication) {
  return tokenSource({ issuer, clientId: 'agent', authentication, resource: RESOURCE })
}

const whatIsWrong: [string, (signer: Signer, issuer: string) => ClientAuthentication, string][] = [
  [
    'for another authorization server',
    (signer) => privateKeyJwt(signer, { audience: 'https://another.test' }),
    'audience (aud) must equal the endpoint url, issuer identifier or token endpoint url',
  ],
  [
    'for its issuer with a slash more',
    (signer, issuer) => privateKeyJwt(signer, { audience: `${issuer}/` }),
    'audience (aud) must equal the endpoint url, issuer identifier or token endpoint url',
  ],
  [
    'that expired a minute ago',
    (signer) => privateKeyJwt(signer, { now: () => Date.now() - 120_000 }),
    'jwt expired',
  ],
  [
    'of another client',
    (signer) => externalAssertion(assertionProvider(signer, { clientId: 'someone-else' })),
    'client not found',
  ],
]

it.each(whatIsWrong)('oidc-provider refuses an assertion %s', async (_what, wrong, reason) => {
  const signer = await es256Signer()
  const as = await startServer(signer)
  const error = await refusal(() => sourceAt(as.issuer, wrong(signer, as.issuer)).token())
  expect(error).toMatchObject({ code: 'ERR_OAUTH_RESPONSE', error: 'invalid_client', status: 401 })
  expect(as.tokenRequests).toMatchObject([{ status: 401, refusal: reason }])
  await sourceAt(as.issuer, privateKeyJwt(signer)).token()
})

it('oidc-provider refuses an assertion by a key that it does not know', async () => {
  const as = await startServer(await es256Signer())
  const source = sourceAt(as.issuer, privateKeyJwt(await es256Signer()))
  expect(await refusal(() => source.token())).toMatchObject({ error: 'invalid_client' })
  expect(as.tokenRequests).toMatchObject([
    { status: 401, refusal: 'no applicable key found in the JSON Web Key Set' },
  ])
})

it('oidc-provider refuses an assertion that it has seen before', async () => {
  const signer = await es256Signer()
  const as = await startServer(signer)
  let assertion: string | undefined
  const replaying = externalAssertion(async (audience) => {
    assertion ??= await assertionProvider(signer, { clientId: 'agent' })(audience)
    return assertion
  })
  await sourceAt(as.issuer, replaying).token()
  const error = await refusal(() => sourceAt(as.issuer, replaying).token())
  expect(error).toMatchObject({ error: 'invalid_client' })
  expect(as.tokenRequests).toMatchObject([
    { status: 200 },
    { status: 401, refusal: 'client assertion tokens must only be used once' },
  ])
})
