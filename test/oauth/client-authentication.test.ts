import { assertionProvider } from '@countersign/core'
import {
  type ClientAuthentication,
  clientSecretBasic,
  clientSecretPost,
  externalAssertion,
  privateKeyJwt,
} from '@countersign/oauth'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { describe, expect, it } from 'vitest'
import {
  type AuthorizationServer,
  startAuthorizationServer,
} from '../servers/authorization-server.js'
import { closing, es256Signer } from './fixtures.ts'

const RESOURCE = 'https://resource.test/mcp'
const SECRET = 'a secret: 100 % + & ~*"=/'
/** RFC 6749 appendix A.1 allows these characters, and each of them changes if it is not encoded correctly. */
const CLIENT_ID = 'agent: 50 % + more & ~*'

type Method = 'private_key_jwt' | 'client_secret_basic' | 'client_secret_post'

/** An authorization server with one client, and the client's authentications. */
async function startServer(method: Method) {
  const signer = await es256Signer()
  const as = closing(
    await startAuthorizationServer({
      resources: { [RESOURCE]: ['read'] },
      clients: [
        {
          client_id: CLIENT_ID,
          token_endpoint_auth_method: method,
          ...(method === 'private_key_jwt'
            ? { jwks: { keys: [signer.publicJwk] } }
            : { client_secret: SECRET }),
        },
      ],
    }),
  )
  const authentications = {
    privateKeyJwt: privateKeyJwt(signer),
    externalAssertion: externalAssertion(assertionProvider(signer, { clientId: CLIENT_ID })),
    clientSecretBasic: clientSecretBasic(SECRET),
    clientSecretPost: clientSecretPost(async () => SECRET),
  }
  return { as, authentications }
}

async function withOauth4webapi({ issuer }: AuthorizationServer, auth: ClientAuthentication) {
  const insecure = { [oauth.allowInsecureRequests]: true }
  const found = await oauth.discoveryRequest(new URL(issuer), { algorithm: 'oauth2', ...insecure })
  const as = await oauth.processDiscoveryResponse(new URL(issuer), found)
  const client = { client_id: CLIENT_ID }
  const parameters = { resource: RESOURCE, scope: 'read' }
  const response = await oauth.clientCredentialsGrantRequest(as, client, auth, parameters, insecure)
  return oauth.processClientCredentialsResponse(as, client, response)
}

async function withOpenidClient({ issuer }: AuthorizationServer, auth: ClientAuthentication) {
  const configuration = await openid.discovery(new URL(issuer), CLIENT_ID, undefined, auth, {
    execute: [openid.allowInsecureRequests],
  })
  return openid.clientCredentialsGrant(configuration, { resource: RESOURCE, scope: 'read' })
}

const libraries = [
  ['oauth4webapi', withOauth4webapi],
  ['openid-client', withOpenidClient],
] as const
const methods = [
  ['privateKeyJwt', 'private_key_jwt'],
  ['externalAssertion', 'private_key_jwt'],
  ['clientSecretBasic', 'client_secret_basic'],
  ['clientSecretPost', 'client_secret_post'],
] as const

describe.each(libraries)('as client authentication of %s', (_library, requestToken) => {
  it.each(methods)('%s is accepted by oidc-provider', async (name, method) => {
    const { as, authentications } = await startServer(method)
    const token = await requestToken(as, authentications[name])
    expect(token.access_token).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/)
    expect(as.tokenRequests).toMatchObject([{ status: 200, form: { resource: RESOURCE } }])
  })

  it.each([
    ['clientSecretBasic', 'client_secret_basic'],
    ['clientSecretPost', 'client_secret_post'],
  ] as const)('%s with another secret is refused by oidc-provider', async (name, method) => {
    const { as } = await startServer(method)
    const other = { clientSecretBasic, clientSecretPost }[name](`${SECRET} `)
    await expect(requestToken(as, other)).rejects.toThrow()
    expect(as.tokenRequests).toMatchObject([{ status: 401 }])
  })
})

describe('the token request', () => {
  it('names the client in the assertion only with private_key_jwt', async () => {
    const { as, authentications } = await startServer('private_key_jwt')
    await withOauth4webapi(as, authentications.privateKeyJwt)
    const [request] = as.tokenRequests
    expect(request?.form).not.toHaveProperty('client_id')
    expect(request?.headers).not.toHaveProperty('authorization')
    expect(request?.assertion).toMatchObject({
      header: { alg: 'ES256', typ: 'client-authentication+jwt' },
      claims: { iss: CLIENT_ID, sub: CLIENT_ID, aud: as.issuer },
    })
  })

  it('has a new assertion each time', async () => {
    const { as, authentications } = await startServer('private_key_jwt')
    await withOauth4webapi(as, authentications.privateKeyJwt)
    await withOpenidClient(as, authentications.privateKeyJwt)
    const [one, other] = as.tokenRequests.map(({ assertion }) => assertion?.claims.jti)
    expect(one).toMatch(/^[\w-]{22}$/)
    expect(other).not.toBe(one)
  })

  it('has neither client nor secret in the body with client_secret_basic', async () => {
    const { as, authentications } = await startServer('client_secret_basic')
    await withOpenidClient(as, authentications.clientSecretBasic)
    expect(Object.keys(as.tokenRequests[0]?.form ?? {}).sort()).toEqual([
      'grant_type',
      'resource',
      'scope',
    ])
  })

  it('has the secret that the function returns for it', async () => {
    const { as } = await startServer('client_secret_basic')
    const secrets = ['an old secret', SECRET]
    const authentication = clientSecretBasic(() => secrets.shift() ?? '')
    await expect(withOauth4webapi(as, authentication)).rejects.toThrow()
    await withOauth4webapi(as, authentication)
    expect(as.tokenRequests.map(({ status }) => status)).toEqual([401, 200])
  })
})
