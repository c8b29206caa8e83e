import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { algorithms, isJwsAlgorithm, type JwsAlgorithm, type Signer } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { privateKeyJwt, tokenSource } from '@countersign/oauth'
import { decodeJwt } from 'jose'
import { describe, expect, it } from 'vitest'
import {
  CLIENT_AUTH_SIGNING_ALGS,
  startAuthorizationServer,
} from '../servers/authorization-server.js'
import { closing, refusal } from './fixtures.ts'

const RESOURCE = 'https://resource.test/mcp'

// The type declarations are those of the oldest supported Node.js, which has no ML-DSA.
const generate = generateKeyPairSync as unknown as (
  type: string,
  options?: object,
) => { readonly privateKey: KeyObject }

// The only keys that take long to make.
const rsaKeys = [1, 2].map(() => generate('rsa', { modulusLength: 2048 }).privateKey)

function newKey(alg: JwsAlgorithm, which: number): KeyObject {
  const { kty, crv } = algorithms[alg]
  const rsaKey = rsaKeys[which]
  if (kty === 'RSA' && rsaKey !== undefined) return rsaKey
  if (kty === 'EC') return generate('ec', { namedCurve: crv }).privateKey
  if (kty === 'OKP') return generate('ed25519').privateKey
  return generate(alg.toLowerCase()).privateKey
}

/** A signer with the first, or under the same name with the second, of two keys. */
function signerFor(alg: string, kid?: string): Promise<Signer> {
  if (!isJwsAlgorithm(alg)) throw new Error(`oidc-provider knows ${alg}, core does not`)
  return localSigner({ key: newKey(alg, kid === undefined ? 0 : 1), alg, kid })
}

/** A server that accepts this one algorithm, and knows this one key. */
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

it('oidc-provider knows every RSA, ECDSA and Edwards curve algorithm of JOSE', () => {
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
