// @ts-check
// Grants that oidc-provider does not have: assertions, RFC 7523 §2.1, and token exchange, RFC 8693.
import { randomUUID } from 'node:crypto'
import { jwtVerify, SignJWT } from 'jose'
import { InvalidGrant } from 'oidc-provider/lib/helpers/errors.js'
import validateDpop from 'oidc-provider/lib/helpers/validate_dpop.js'

/** @typedef {import('./authorization-server.js').GrantServer} GrantServer */
/** @typedef {import('oidc-provider/lib/provider.js').GrantContext} Context */
/** @typedef {import('jose').JWTPayload} Claims */

export const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
export const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag'

/** The media type of an ID-JAG, without its prefix. */
export const ID_JAG_TYP = 'oauth-id-jag+jwt'

/**
 * Whom a server trusts to issue JWTs.
 *
 * @typedef {object} TrustedIssuer
 * @property {string} issuer
 * @property {import('jose').JWTVerifyGetKey} keys
 * @property {string} [typ]  the only type that is accepted
 */

/**
 * Verifies a JWT that is the grant or the subject's token of a request.
 *
 * @param {string | undefined} jwt
 * @param {TrustedIssuer} trusted
 * @param {string} audience
 */
async function verified(jwt, { issuer, keys, typ }, audience) {
  const requiredClaims = ['sub', 'exp']
  const options = { issuer, audience, requiredClaims, ...(typ && { typ }) }
  const result = await jwtVerify(jwt ?? '', keys, options).catch((/** @type {Error} */ error) => {
    throw new InvalidGrant(error.message)
  })
  return result.payload
}

/**
 * Answers with an access token of a user for the requested resource, bound to the key of a proof if there is one.
 *
 * @param {GrantServer} server
 * @param {Context} context
 * @param {Claims} subject
 */
async function grantAccess({ provider, resourceServer }, context, subject) {
  const { client, params } = context.oidc
  const { resource = '', scope } = params
  const token = new provider.AccessToken({ accountId: subject.sub, client, gty: 'assertion' })
  const info = resourceServer(resource)
  token.resourceServer = new provider.ResourceServer(resource, info)
  token.scope = scope
  const proof = await validateDpop(provider, context)
  if (proof !== undefined) token.setThumbprint('jkt', proof.thumbprint)
  context.body = {
    access_token: await token.save(),
    expires_in: token.expiration,
    token_type: token.tokenType,
    ...(scope && { scope }),
    ...(params['grant_type'] === TOKEN_EXCHANGE && {
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    }),
  }
}

/**
 * Accepts JWTs of an issuer as grants, each once. One with a client and a resource must be that of the request.
 *
 * @param {TrustedIssuer} trusted
 * @returns {(server: GrantServer) => void}
 */
export function acceptAssertions(trusted) {
  return (server) => {
    const { provider } = server
    /** @type {(context: Context) => Promise<void>} */
    const handler = async (context) => {
      const { client, params } = context.oidc
      const claims = await verified(params['assertion'], trusted, provider.issuer)
      const { client_id = client.clientId, resource = params['resource'], jti = '' } = claims
      if (client_id !== client.clientId) throw new InvalidGrant('of another client')
      if (resource !== params['resource']) throw new InvalidGrant('for another resource')
      const { issuer } = trusted
      if (!(await provider.ReplayDetection.unique(issuer, jti, claims.exp ?? 0))) {
        throw new InvalidGrant('replayed')
      }
      await grantAccess(server, context, claims)
    }
    provider.registerGrantType(JWT_BEARER, handler, ['assertion', 'scope', 'resource'])
  }
}

const exchangeParameters = [
  ...['subject_token', 'subject_token_type', 'actor_token', 'actor_token_type'],
  ...['requested_token_type', 'audience', 'resource', 'scope'],
]

/**
 * Exchanges JWTs of an issuer, whose audience is the client, for access tokens.
 *
 * @param {TrustedIssuer} trusted
 * @returns {(server: GrantServer) => void}
 */
export function exchangeForAccess(trusted) {
  return (server) => {
    /** @type {(context: Context) => Promise<void>} */
    const handler = async (context) => {
      const { client, params } = context.oidc
      await grantAccess(
        server,
        context,
        await verified(params['subject_token'], trusted, client.clientId),
      )
    }
    server.provider.registerGrantType(TOKEN_EXCHANGE, handler, exchangeParameters)
  }
}

/**
 * An ID-JAG before it is signed, and the answer that it is in.
 *
 * @typedef {object} Answer
 * @property {Record<string, unknown>} header
 * @property {Claims} claims
 * @property {Record<string, unknown>} members  of the token response
 */

/**
 * Exchanges ID tokens for ID-JAGs, as an enterprise's identity provider.
 *
 * @param {object} options
 * @param {TrustedIssuer} options.users  who issues the ID tokens
 * @param {import('jose').CryptoKey} options.key  signs the ID-JAGs, with ES256
 * @param {(clientId: string) => string} options.clientAt  the client's identifier at the other authorization server
 * @param {(answer: Answer) => Answer} [options.change]  what a faulty or hostile identity provider answers
 * @returns {(server: GrantServer) => void}
 */
export function exchangeForIdJag({ users, key, clientAt, change = (answer) => answer }) {
  return ({ provider }) => {
    /** @type {(context: Context) => Promise<void>} */
    const handler = async (context) => {
      const { client, params } = context.oidc
      if (params['requested_token_type'] !== ID_JAG) throw new InvalidGrant('not an ID-JAG')
      const { sub } = await verified(params['subject_token'], users, client.clientId)
      const now = Math.floor(Date.now() / 1000)
      const { audience = '', resource, scope } = params
      const { header, claims, members } = change({
        header: { typ: ID_JAG_TYP },
        claims: {
          iss: provider.issuer,
          sub: sub ?? '',
          aud: audience,
          client_id: clientAt(client.clientId),
          ...(resource && { resource }),
          ...(scope && { scope }),
          jti: randomUUID(),
          iat: now,
          exp: now + 300,
        },
        members: { issued_token_type: ID_JAG, token_type: 'N_A', expires_in: 300 },
      })
      const idJag = await new SignJWT(claims)
        .setProtectedHeader({ ...header, alg: 'ES256' })
        .sign(key)
      context.body = { access_token: idJag, ...members }
    }
    provider.registerGrantType(TOKEN_EXCHANGE, handler, exchangeParameters)
  }
}
