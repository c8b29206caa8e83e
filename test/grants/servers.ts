import { jwks, type Signer } from '@countersign/core'
import {
  type IdentityProvider,
  identityAssertion,
  privateKeyJwt,
  type TokenProvider,
  type TokenSource,
  type TokenSourceOptions,
  tokenSource,
} from '@countersign/oauth'
import { exportJWK, generateKeyPair, type JWTVerifyGetKey, SignJWT } from 'jose'
import { closing, es256Signer } from '../oauth/fixtures.ts'
import {
  type AuthorizationServer,
  startAuthorizationServer,
} from '../servers/authorization-server.js'
import {
  type Answer,
  acceptAssertions,
  exchangeForIdJag,
  ID_JAG_TYP,
  JWT_BEARER,
  TOKEN_EXCHANGE,
} from '../servers/token-grants.js'

/** A key of an issuer of JWTs, with ES256. */
export async function issuerKey() {
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const keys: JWTVerifyGetKey = async () => publicKey
  return { privateKey, keys, jwk: await exportJWK(publicKey) }
}

/** The user that has signed in. */
export const user = 'alice'

/** An identity provider, and the authorization server of a resource that trusts it. */
export interface Enterprise {
  readonly idp: AuthorizationServer
  readonly as: AuthorizationServer
  /** The keys of the client at the identity provider and at the authorization server. */
  readonly signers: { readonly idp: Signer; readonly as: Signer }
  /** The option `idp` of the client. */
  readonly client: IdentityProvider
  /** Signs what claims to be an ID-JAG, with the key of the identity provider. */
  sign(answer: Pick<Answer, 'header' | 'claims'>): Promise<string>
  /** An ID token of the user for the client. */
  idToken(): Promise<string>
  /** Makes a token source for the resource. */
  source(options?: Partial<TokenSourceOptions>, subjectToken?: TokenProvider): TokenSource
}

/** The identifier of the resource. */
export const resource = 'https://mcp.test/mcp'

/**
 * Starts two servers of oidc-provider, with a client that authenticates at both by `private_key_jwt`, with another key
 * and another identifier at each.
 *
 * @param change - what a faulty or hostile identity provider answers.
 */
export async function startEnterprise(
  change?: (answer: Answer) => Answer,
  dpop?: 'supported' | 'nonce',
): Promise<Enterprise> {
  const users = await issuerKey()
  const idJags = await issuerKey()
  const signers = { idp: await es256Signer(), as: await es256Signer() }
  const idp = closing(
    await startAuthorizationServer({
      clients: [registration('agent-at-idp', signers.idp, TOKEN_EXCHANGE)],
      grants: exchangeForIdJag({
        users: { issuer: 'https://login.test', keys: users.keys },
        key: idJags.privateKey,
        clientAt: (clientId) => clientId.replace('idp', 'as'),
        ...(change && { change }),
      }),
    }),
  )
  const as = closing(
    await startAuthorizationServer({
      clients: [registration('agent-at-as', signers.as, JWT_BEARER)],
      resources: { [resource]: ['use', 'math'] },
      ...(dpop && { dpop }),
      grants: acceptAssertions({ issuer: idp.issuer, keys: idJags.keys, typ: ID_JAG_TYP }),
    }),
  )
  const client = {
    issuer: idp.issuer,
    clientId: 'agent-at-idp',
    authentication: privateKeyJwt(signers.idp),
  }
  const idToken = () =>
    new SignJWT({ sub: user, aud: client.clientId, iss: 'https://login.test' })
      .setProtectedHeader({ alg: 'ES256' })
      .setExpirationTime('5m')
      .sign(users.privateKey)
  return {
    ...{ idp, as, signers, client, idToken },
    sign: ({ header, claims }) =>
      new SignJWT(claims).setProtectedHeader({ ...header, alg: 'ES256' }).sign(idJags.privateKey),
    source: (options, subjectToken = idToken) =>
      tokenSource({
        issuer: as.issuer,
        clientId: 'agent-at-as',
        authentication: privateKeyJwt(signers.as),
        grant: identityAssertion({ idp: client, subjectToken }),
        ...{ resource, scope: 'use' },
        ...options,
      }),
  }
}

/** A client that authenticates by `private_key_jwt`. */
export const registration = (clientId: string, signer: Signer, grantType: string) => ({
  client_id: clientId,
  token_endpoint_auth_method: 'private_key_jwt' as const,
  grant_types: [grantType],
  jwks: jwks(signer),
})
