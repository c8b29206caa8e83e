import { authorizationGrant } from '@countersign/core'
import {
  jwtBearer,
  privateKeyJwt,
  publicClient,
  tokenExchange,
  tokenSource,
  workloadIdentity,
} from '@countersign/oauth'
import { createLocalJWKSet, createRemoteJWKSet, jwtVerify, SignJWT } from 'jose'
import { expect, test } from 'vitest'
import { closing, es256Signer, refusal } from '../oauth/fixtures.ts'
import { startAuthorizationServer } from '../servers/authorization-server.js'
import {
  acceptAssertions,
  exchangeForAccess,
  JWT_BEARER,
  TOKEN_EXCHANGE,
} from '../servers/token-grants.js'
import { issuerKey, registration, resource, user } from './servers.ts'

const client = await es256Signer()
const resources = { [resource]: ['use'] }

/** The claims of an access token, verified with the keys that the server publishes. */
async function claimsOf(token: string, issuer: string) {
  const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`))
  return (await jwtVerify(token, keys, { issuer, audience: resource })).payload
}

test('jwtBearer: oidc-provider accepts an assertion of a signer for another user, with private_key_jwt', async () => {
  const subject = await es256Signer()
  const issuer = 'https://issuer.test'
  const keys = createLocalJWKSet({ keys: [{ ...subject.publicJwk }] })
  const as = closing(
    await startAuthorizationServer({
      resources,
      clients: [registration('agent', client, JWT_BEARER)],
      grants: acceptAssertions({ issuer, keys }),
    }),
  )
  const source = (audience?: string) =>
    tokenSource({
      ...{ issuer: as.issuer, clientId: 'agent', resource },
      authentication: privateKeyJwt(client),
      grant: jwtBearer((server) =>
        authorizationGrant(subject, {
          ...{ issuer, subject: user, audience: audience ?? server.issuer },
        }),
      ),
    })
  const claims = await claimsOf(await source().token(), as.issuer)
  expect(claims).toMatchObject({ sub: user, client_id: 'agent' })
  // The issuer is pinned, so the assertion is sent, and the server refuses it.
  const { error } = await refusal(() => source('https://other.test').token())
  expect(error).toBe('invalid_grant')
})

test('workloadIdentity: oidc-provider accepts a platform’s JWT from a client without a credential', async () => {
  const platform = await issuerKey()
  const issuer = 'https://platform.test'
  const as = closing(
    await startAuthorizationServer({
      resources,
      clientAuthMethods: ['none'],
      clients: [
        {
          ...{ client_id: 'pod', token_endpoint_auth_method: 'none' },
          grant_types: [JWT_BEARER],
        },
      ],
      grants: acceptAssertions({ issuer, keys: platform.keys }),
    }),
  )
  const jwt = (expires: string) =>
    new SignJWT({ iss: issuer, sub: 'system:serviceaccount:billing:agent', aud: as.issuer })
      .setProtectedHeader({ alg: 'ES256' })
      .setJti(expires)
      .setExpirationTime(expires)
      .sign(platform.privateKey)
  const source = (expires: string) =>
    tokenSource({
      ...{ issuer: as.issuer, clientId: 'pod', resource },
      authentication: publicClient(),
      grant: workloadIdentity({ token: () => jwt(expires) }),
    })
  const claims = await claimsOf(await source('5m').token(), as.issuer)
  expect(claims.sub).toBe('system:serviceaccount:billing:agent')
  expect((await refusal(() => source('5m').token())).error).toBe('invalid_grant')
  expect((await refusal(() => source('-5m').token())).error).toBe('invalid_grant')
})

test('tokenExchange: oidc-provider exchanges a user’s token, and refuses one for another client', async () => {
  const users = await issuerKey()
  const issuer = 'https://login.test'
  const as = closing(
    await startAuthorizationServer({
      resources,
      clients: [registration('agent', client, TOKEN_EXCHANGE)],
      grants: exchangeForAccess({ issuer, keys: users.keys }),
    }),
  )
  const source = (audience: string) =>
    tokenSource({
      ...{ issuer: as.issuer, clientId: 'agent', resource },
      authentication: privateKeyJwt(client),
      grant: tokenExchange({
        subjectToken: () =>
          new SignJWT({ iss: issuer, sub: user, aud: audience })
            .setProtectedHeader({ alg: 'ES256' })
            .setExpirationTime('5m')
            .sign(users.privateKey),
        subjectTokenType: 'urn:ietf:params:oauth:token-type:id_token',
      }),
    })
  const claims = await claimsOf(await source('agent').token(), as.issuer)
  expect(claims).toMatchObject({ sub: user, client_id: 'agent' })
  expect((await refusal(() => source('other').token())).error).toBe('invalid_grant')
})
