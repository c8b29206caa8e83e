import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import {
  algorithms,
  assertionProvider,
  isJwsAlgorithm,
  type JwsAlgorithm,
  type Signer,
} from '@countersign/core'
import { localSigner } from '@countersign/local'
import {
  type ClientAuthentication,
  externalAssertion,
  privateKeyJwt,
  tokenSource,
} from '@countersign/oauth'
import { decodeJwt } from 'jose'
import { describe, expect, it } from 'vitest'
import {
  CLIENT_AUTH_SIGNING_ALGS,
  startAuthorizationServer,
} from '../servers/authorization-server.js'
import { closing, es256Signer, refusal } from './fixtures.ts'

const RESOURCE = 'https://resource.test/mcp'

// The type declarations are those of the oldest supported Node.js, which has no ML-DSA.
const generate = generateKeyPairSync as unknown as (
  type: string,
  options?: object,
) => { readonly privateKey: KeyObject }

// RSA keys take long to generate.
const rsaKeys = [1, 2].map(() => generate('rsa', { modulusLength: 2048 }).privateKey)

function newKey(alg: JwsAlgorithm, which: number): KeyObject {
  const { kty, crv } = algorithms[alg]
  const rsaKey = rsaKeys[which]
  if (kty === 'RSA' && rsaKey !== undefined) return rsaKey
  if (kty === 'EC') return generate('ec', { namedCurve: crv }).privateKey
  if (kty === 'OKP') return generate('ed25519').privateKey
  return generate(alg.toLowerCase()).privateKey
}

/** A signer with the first of two keys, or with the second one under the same key ID. */
function signerFor(alg: string, kid?: string): Promise<Signer> {
  if (!isJwsAlgorithm(alg)) throw new Error(`oidc-provider supports ${alg}, core does not`)
  return localSigner({ key: newKey(alg, kid === undefined ? 0 : 1), alg, kid })
}

/** A server that accepts one algorithm and one key. */
async function startServer(alg: string, known: Signer) {
  return closing(
    await startAuthorizationServer({
      clientAuthSigningAlgs: [alg],
      resources: { [RESOURCE]: ['read'] },
      clients: [
        {
          client_id: 'agent',
          token_endpoint_auth_method: 'private_key_jwt',
          token_endpoint_auth_signing_alg: alg,
          jwks: { keys: [known.publicJwk] },
        },
      ],
    }),
  )
}

it('oidc-provider supports every RSA, ECDSA and Edwards curve algorithm of JOSE', () => {
  expect(CLIENT_AUTH_SIGNING_ALGS).toEqual(
    expect.arrayContaining([
      ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
      ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
    ]),
  )
})

describe.each(CLIENT_AUTH_SIGNING_ALGS)('an assertion signed with %s', (alg) => {
  it('gets a token from oidc-provider', async () => {
    const signer = await signerFor(alg)
    const as = await startServer(alg, signer)
    const source = tokenSource({
      issuer: as.issuer,
      clientId: 'agent',
      authentication: privateKeyJwt(signer),
      resource: RESOURCE,
      scope: 'read',
    })
    expect(decodeJwt(await source.token())).toMatchObject({ aud: RESOURCE, scope: 'read' })
    expect(as.tokenRequests).toMatchObject([
      { status: 200, assertion: { header: { alg, kid: signer.kid } } },
    ])
  })

  it('is refused by oidc-provider when another key made it', async () => {
    const known = await signerFor(alg)
    const as = await startServer(alg, known)
    const source = tokenSource({
      issuer: as.issuer,
      clientId: 'agent',
      authentication: privateKeyJwt(await signerFor(alg, known.kid)),
      resource: RESOURCE,
    })
    expect(await refusal(() => source.token())).toMatchObject({ error: 'invalid_client' })
    expect(as.tokenRequests).toMatchObject([
      { status: 401, refusal: 'signature verification failed' },
    ])
  })
})

function sourceAt(issuer: string, authentication: ClientAuthentication) {
  return tokenSource({ issuer, clientId: 'agent', authentication, resource: RESOURCE })
}

const wrongAssertions: [
  string,
  (signer: Signer, issuer: string) => ClientAuthentication,
  string,
][] = [
  [
    'for another authorization server',
    (signer) => privateKeyJwt(signer, { audience: 'https://another.test' }),
    'audience (aud) must equal the endpoint url, issuer identifier or token endpoint url',
  ],
  [
    'for its issuer with an additional slash',
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

it.each(wrongAssertions)('oidc-provider refuses an assertion %s', async (_what, wrong, reason) => {
  const signer = await es256Signer()
  const as = await startServer('ES256', signer)
  const error = await refusal(() => sourceAt(as.issuer, wrong(signer, as.issuer)).token())
  expect(error).toMatchObject({ code: 'ERR_OAUTH_RESPONSE', error: 'invalid_client', status: 401 })
  expect(as.tokenRequests).toMatchObject([{ status: 401, refusal: reason }])
  await sourceAt(as.issuer, privateKeyJwt(signer)).token()
})

it('oidc-provider refuses an assertion by an unknown key', async () => {
  const as = await startServer('ES256', await es256Signer())
  const source = sourceAt(as.issuer, privateKeyJwt(await es256Signer()))
  expect(await refusal(() => source.token())).toMatchObject({ error: 'invalid_client' })
  expect(as.tokenRequests).toMatchObject([
    { status: 401, refusal: 'no applicable key found in the JSON Web Key Set' },
  ])
})

it('oidc-provider refuses an assertion that was used before', async () => {
  const signer = await es256Signer()
  const as = await startServer('ES256', signer)
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
