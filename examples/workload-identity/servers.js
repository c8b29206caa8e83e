// @ts-check
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { exportJWK, generateKeyPair, jwtVerify, SignJWT } from 'jose'

const alg = 'ES256'

/** Stands for a cluster of Kubernetes, which signs the tokens of its service accounts. */
export async function startPlatform() {
  const { privateKey, publicKey } = await generateKeyPair(alg)
  const issuer = 'https://kubernetes.default.svc.cluster.local'
  return {
    issuer,
    publicKey,
    /** @param {string} audience */
    token: (audience) =>
      new SignJWT({ sub: 'system:serviceaccount:billing:agent' })
        .setProtectedHeader({ alg })
        .setIssuer(issuer)
        .setAudience(audience)
        .setJti(randomUUID())
        .setIssuedAt()
        .setExpirationTime('10m')
        .sign(privateKey),
  }
}

/**
 * An authorization server that exchanges the platform's tokens, each once, for access tokens.
 *
 * @param {Awaited<ReturnType<typeof startPlatform>>} platform
 */
export async function startAuthorizationServer(platform) {
  const { privateKey, publicKey } = await generateKeyPair(alg)
  /** @type {Set<unknown>} */
  const granted = new Set()

  /** @param {URLSearchParams} form */
  async function grant(form) {
    if (form.get('grant_type') !== 'urn:ietf:params:oauth:grant-type:jwt-bearer') {
      return { error: 'unsupported_grant_type' }
    }
    const expected = { issuer: platform.issuer, audience: issuer, requiredClaims: ['exp', 'jti'] }
    const { payload } = await jwtVerify(form.get('assertion') ?? '', platform.publicKey, expected)
    if (payload.sub !== 'system:serviceaccount:billing:agent' || granted.has(payload.jti)) {
      return { error: 'invalid_grant' }
    }
    granted.add(payload.jti)
    const claims = { client_id: 'billing-workload', scope: form.get('scope') }
    const token = await new SignJWT(claims)
      .setProtectedHeader({ alg, typ: 'at+jwt' })
      .setIssuer(issuer)
      .setSubject('billing-workload')
      .setAudience(form.get('resource') ?? '')
      .setExpirationTime('5m')
      .sign(privateKey)
    return { access_token: token, token_type: 'Bearer', expires_in: 300 }
  }

  const server = createServer(async (request, response) => {
    const send = (/** @type {number} */ status, /** @type {object} */ body) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    if (request.url === '/.well-known/oauth-authorization-server') {
      return send(200, {
        issuer,
        token_endpoint: `${issuer}/token`,
        jwks_uri: `${issuer}/jwks`,
        response_types_supported: [],
        grant_types_supported: ['urn:ietf:params:oauth:grant-type:jwt-bearer'],
        token_endpoint_auth_methods_supported: ['none'],
      })
    }
    if (request.url === '/jwks') return send(200, { keys: [await exportJWK(publicKey)] })
    if (request.url !== '/token') return send(404, {})
    const form = new URLSearchParams(await text(request))
    const answer = await grant(form).catch(() => ({ error: 'invalid_grant' }))
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
  return { issuer, granted, close }
}
