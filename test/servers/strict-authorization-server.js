// @ts-check
import { createHash, createPublicKey } from 'node:crypto'
import {
  createLocalJWKSet,
  decodeProtectedHeader,
  errors,
  exportJWK,
  generateKeyPair,
  jwtVerify,
  SignJWT,
} from 'jose'
import { startScriptedAuthorizationServer } from './hostile-authorization-server.js'
import { errorResponse, tokenResponse } from './token-responses.js'

/**
 * @typedef {object} StrictOptions
 * @property {Readonly<Record<string, { keys: object[], alg?: string }>>} [clients]  by client identifier; `alg` is the
 *   only one it may sign with
 * @property {'issuer' | 'token endpoint'} [audience]  the one it takes in assertions
 * @property {boolean} [wantsClientId]  whether `client_id` must be in the body, as Spring Authorization Server has it
 * @property {string} [typ]  the only `typ` it takes, such as `JWT` for Spring Authorization Server 1.5
 * @property {boolean} [byCertificate]  whether clients are registered by a certificate, as Keycloak can: a key has no other
 *   `kid` than the hash of its SubjectPublicKeyInfo
 * @property {number} [refusalStatus]  of an assertion that is not accepted; Keycloak answers 400
 * @property {number} [aheadSeconds]  how far its clock is ahead, in its `Date` and in what it checks
 * @property {boolean} [says]  whether its errors say why an assertion is refused, as those of some servers do
 * @property {Record<string, unknown>} [metadata]  members that replace those of its metadata
 * @property {(claims: Record<string, unknown>) => Record<string, unknown>} [claims]  changes those of its access tokens
 * @property {'jwt' | 'opaque'} [accessTokenFormat]
 * @property {(form: URLSearchParams) => Response | undefined} [refuse]  refuses a client that has authenticated
 * @property {(claims: Record<string, unknown>) => Response} [introspect]  answers introspection of its tokens
 */

/** @typedef {import('./scripted-server.js').ScriptedServer} ScriptedServer */

/**
 * An authorization server that verifies assertions to the letter, with no tolerance for clocks, and whose clock,
 * audience and manners can be other than its clients expect. It signs its tokens with its own key.
 *
 * @param {StrictOptions} [options]
 * @returns {Promise<ScriptedServer>}
 */
export async function startStrictAuthorizationServer(options = {}) {
  const { clients = {}, audience = 'issuer', aheadSeconds = 0, says = false } = options
  const { claims: change = (claims) => claims, accessTokenFormat = 'jwt' } = options
  const { wantsClientId = false, typ, byCertificate = false, refusalStatus = 401 } = options
  const now = () => Date.now() + aheadSeconds * 1000
  const own = await generateKeyPair('ES256', { extractable: true })
  const published = { ...(await exportJWK(own.publicKey)), alg: 'ES256', kid: 'as', use: 'sig' }
  /** @type {Set<unknown>} */
  const seen = new Set()
  /** @type {Map<string, Record<string, unknown>>} */
  const opaque = new Map()

  /** @param {URLSearchParams} form */
  async function authenticate(form) {
    const assertion = form.get('client_assertion') ?? ''
    const clientId = subjectOf(assertion)
    const client = clients[clientId]
    if (client === undefined) throw new Refusal('The client does not exist.')
    const accepted = audience === 'issuer' ? server.url : `${server.url}/token`
    const header = decodeProtectedHeader(assertion)
    if (typ !== undefined && header.typ !== typ) throw new Refusal(`The typ must be ${typ}.`)
    const keys = byCertificate ? client.keys.map(namedBySpki) : client.keys
    if (byCertificate && header.kid === undefined) throw new Refusal('Unable to load public key')
    const { payload } = await jwtVerify(assertion, createLocalJWKSet({ keys }), {
      issuer: clientId,
      audience: accepted,
      currentDate: new Date(now()),
      clockTolerance: 0,
      requiredClaims: ['exp', 'iat', 'jti'],
      maxTokenAge: 60,
      ...(client.alg === undefined ? {} : { algorithms: [client.alg] }),
    }).catch((error) => {
      throw new Refusal(describe(error))
    })
    if (Array.isArray(payload.aud)) throw new Refusal('The audience must be one string.')
    if (seen.has(payload.jti)) throw new Refusal('The jti was used before.')
    seen.add(payload.jti)
    return clientId
  }

  /** @param {string} clientId @param {URLSearchParams} form */
  async function issue(clientId, form) {
    const seconds = Math.floor(now() / 1000)
    const scope = form.get('scope') ?? undefined
    const claims = change({
      iss: server.url,
      sub: clientId,
      client_id: clientId,
      aud: form.get('resource') ?? server.url,
      scope,
      iat: seconds,
      exp: seconds + 3600,
    })
    if (accessTokenFormat === 'opaque') {
      const token = `opaque-${opaque.size + 1}-of-the-strict-server`
      opaque.set(token, claims)
      return tokenResponse({ access_token: token, scope })
    }
    const header = { alg: 'ES256', kid: 'as', typ: 'at+jwt' }
    const token = await new SignJWT(claims).setProtectedHeader(header).sign(own.privateKey)
    return tokenResponse({ access_token: token, scope })
  }

  /** @param {import('./scripted-server.js').ScriptedRequest} request @param {(clientId: string) => Promise<Response>} answer */
  async function forClient({ form }, answer) {
    if (wantsClientId && !form.has('client_id')) return errorResponse('invalid_request')
    try {
      return await answer(await authenticate(form))
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      const description = says ? error.message : undefined
      return errorResponse('invalid_client', {
        status: refusalStatus,
        ...(description && { description }),
      })
    }
  }

  const { introspect } = options
  const server = await startScriptedAuthorizationServer({
    now,
    metadata: (url) => ({
      jwks_uri: `${url}/jwks`,
      ...(introspect && { introspection_endpoint: `${url}/introspect` }),
      ...options.metadata,
    }),
    token: (request) =>
      forClient(
        request,
        async (clientId) => options.refuse?.(request.form) ?? issue(clientId, request.form),
      ),
    async other(request) {
      if (request.path === '/jwks') return Response.json({ keys: [published] })
      if (request.path !== '/introspect' || introspect === undefined) {
        return new Response(null, { status: 404 })
      }
      return forClient(request, async () => {
        const claims = opaque.get(request.form.get('token') ?? '')
        return claims === undefined ? Response.json({ active: false }) : introspect(claims)
      })
    },
  })
  return server
}

/** @param {object} jwk  under the name that a certificate with this key has */
function namedBySpki(jwk) {
  const key = createPublicKey({
    key: /** @type {import('node:crypto').JsonWebKey} */ (jwk),
    format: 'jwk',
  })
  const spki = key.export({ type: 'spki', format: 'der' })
  return { ...jwk, kid: createHash('sha256').update(spki).digest('base64url') }
}

/** Why an assertion is refused, for the server's log, and for the client if it is told. */
class Refusal extends Error {}

/** @param {string} assertion */
function subjectOf(assertion) {
  try {
    const payload = Buffer.from(assertion.split('.')[1] ?? '', 'base64url').toString()
    return String(JSON.parse(payload).sub)
  } catch {
    throw new Refusal('The assertion is no JWT.')
  }
}

/** @param {unknown} error */
function describe(error) {
  if (error instanceof errors.JWTExpired) return 'The client_assertion is expired.'
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === 'aud') return 'The audience claim of the client_assertion is not accepted.'
    if (error.claim === 'iat') return 'The client_assertion was issued in the future.'
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return 'The algorithm is not the registered one.'
  return 'The signature of the client_assertion cannot be verified with a registered key.'
}
