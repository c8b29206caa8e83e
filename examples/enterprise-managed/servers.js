// @ts-check
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { createLocalJWKSet, exportJWK, generateKeyPair, jwtVerify, SignJWT } from 'jose'

const alg = 'ES256'
const idJag = 'urn:ietf:params:oauth:token-type:id-jag'

/** @typedef {import('jose').JSONWebKeySet} Keys */

/**
 * An identity provider, which issues ID-JAGs where its administrator has permitted it.
 *
 * @param {{ keys: readonly object[] }} clientKeys  the public keys of the client
 */
export async function startIdentityProvider(clientKeys) {
  const { privateKey, publicKey } = await generateKeyPair(alg)
  const permitted = new Set()
  const server = await startServer(publicKey, async (form, issuer) => {
    const clientId = await authenticate(form, issuer, clientKeys)
    const audience = form.get('audience') ?? ''
    const subject = await jwtVerify(form.get('subject_token') ?? '', publicKey, {
      ...{ issuer, audience: clientId },
    })
    if (form.get('requested_token_type') !== idJag) return { error: 'invalid_request' }
    if (!permitted.has(`${clientId} ${audience}`)) return { error: 'access_denied' }
    const claims = {
      // The client has another identifier at the authorization server.
      client_id: clientId.replace('idp', 'as'),
      resource: form.get('resource'),
    }
    const token = await new SignJWT(claims)
      .setProtectedHeader({ alg, typ: 'oauth-id-jag+jwt' })
      .setIssuer(issuer)
      .setSubject(subject.payload.sub ?? '')
      .setAudience(audience)
      .setJti(randomUUID())
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(privateKey)
    return { access_token: token, issued_token_type: idJag, token_type: 'N_A', expires_in: 300 }
  })
  return {
    ...server,
    publicKey,
    /** @param {string} clientId @param {string} audience */
    permit: (clientId, audience) => void permitted.add(`${clientId} ${audience}`),
    /** The ID token of a user who has signed in. @param {string} user */
    idToken: (user) =>
      new SignJWT({})
        .setProtectedHeader({ alg })
        .setIssuer(server.issuer)
        .setSubject(user)
        .setAudience('agent-at-idp')
        .setExpirationTime('5m')
        .sign(privateKey),
  }
}

/**
 * The authorization server of the MCP server, which trusts the identity provider.
 *
 * @param {{ keys: readonly object[] }} clientKeys
 * @param {Awaited<ReturnType<typeof startIdentityProvider>>} idp
 */
export async function startAuthorizationServer(clientKeys, idp) {
  const { privateKey, publicKey } = await generateKeyPair(alg)
  /** @type {(string | undefined)[]} */
  const users = []
  const accepted = new Set()
  const server = await startServer(publicKey, async (form, issuer) => {
    const clientId = await authenticate(form, issuer, clientKeys)
    const { payload } = await jwtVerify(form.get('assertion') ?? '', idp.publicKey, {
      ...{ issuer: idp.issuer, audience: issuer, typ: 'oauth-id-jag+jwt' },
    })
    const { client_id, resource, jti, sub = '' } = payload
    if (client_id !== clientId || accepted.has(jti)) return { error: 'invalid_grant' }
    accepted.add(jti)
    users.push(sub)
    const token = await new SignJWT({ client_id: clientId, scope: form.get('scope') })
      .setProtectedHeader({ alg, typ: 'at+jwt' })
      .setIssuer(issuer)
      .setSubject(sub)
      .setAudience(String(resource))
      .setExpirationTime('5m')
      .sign(privateKey)
    return { access_token: token, token_type: 'Bearer', expires_in: 300 }
  })
  return { ...server, users }
}

/**
 * The client of a request, by `private_key_jwt`.
 *
 * @param {URLSearchParams} form
 * @param {string} issuer
 * @param {{ keys: readonly object[] }} clientKeys
 */
async function authenticate(form, issuer, clientKeys) {
  const keys = createLocalJWKSet(/** @type {Keys} */ (clientKeys))
  const assertion = form.get('client_assertion') ?? ''
  const { payload } = await jwtVerify(assertion, keys, { audience: issuer })
  return payload.iss ?? ''
}

/**
 * Starts a server with metadata, keys and a token endpoint on a free port of 127.0.0.1.
 *
 * @param {import('jose').CryptoKey} publicKey
 * @param {(form: URLSearchParams, issuer: string) => Promise<object>} grant
 */
async function startServer(publicKey, grant) {
  const server = createServer(async (request, response) => {
    const send = (/** @type {number} */ status, /** @type {object} */ body) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    if (request.url === '/.well-known/oauth-authorization-server') {
      return send(200, {
        issuer,
        token_endpoint: `${issuer}/token`,
        jwks_uri: `${issuer}/jwks`,
        response_types_supported: [],
        token_endpoint_auth_methods_supported: ['private_key_jwt'],
      })
    }
    if (request.url === '/jwks') return send(200, { keys: [await exportJWK(publicKey)] })
    if (request.url !== '/token') return send(404, {})
    const form = new URLSearchParams(await text(request))
    const answer = await grant(form, issuer).catch(() => ({ error: 'invalid_request' }))
    return send('error' in answer ? 400 : 200, answer)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const issuer = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  const close = async () => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
  return { issuer, close }
}
