import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { assertionProvider, type JwsAlgorithm } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { clientCredentialsProvider } from '@countersign/mcp'
import {
  type ClientAuthentication,
  clientSecretBasic,
  clientSecretPost,
  externalAssertion,
  privateKeyJwt,
} from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import { startScriptedResource, unauthorized } from '../servers/hostile-resource.js'
import { connect, majors, provide, ways } from './clients.ts'
import { closing } from './closing.ts'
import { answerAsMcp, bearer } from './scripted-mcp.ts'
import { newSigner, startServers } from './servers.ts'

const keys: Readonly<Record<'EC' | 'EC384' | 'RSA' | 'OKP', KeyObject>> = {
  EC: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
  EC384: generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey,
  RSA: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
  OKP: generateKeyPairSync('ed25519').privateKey,
}
const algs: readonly (readonly [JwsAlgorithm, KeyObject])[] = [
  ['ES256', keys.EC],
  ['ES384', keys.EC384],
  ['RS256', keys.RSA],
  ['PS256', keys.RSA],
  ['Ed25519', keys.OKP],
  ['EdDSA', keys.OKP],
]

describe.each(ways)('an MCP client on SDK $major, through $way', (way) => {
  const { major } = way

  it.each(['v1', 'v2'] as const)('calls a tool of a server on SDK %s', async (sdk) => {
    const { signer, as, mcp } = await startServers({ sdk })
    const { connection } = provide(way, mcp.url, {
      clientId: 'agent',
      issuer: as.issuer,
      authentication: privateKeyJwt(signer),
    })
    const client = await connect(major, mcp.url, connection)
    expect(await closing(client).call('add', { a: 40, b: 2 })).toBe('42')
  })

  it('calls a tool with an assertion that was made elsewhere', async () => {
    const { signer, as, mcp } = await startServers()
    const authentication = externalAssertion(assertionProvider(signer, { clientId: 'agent' }))
    const { connection } = provide(way, mcp.url, { clientId: 'agent', authentication })
    const client = await connect(major, mcp.url, connection)
    expect(await closing(client).call('whoami')).toBe('agent')
    expect(as.tokenRequests[0]?.assertion?.claims.aud).toBe(as.issuer)
  })

  const secret = 'p+s %:/~'
  it.each([
    ['client_secret_basic', clientSecretBasic(secret)],
    ['client_secret_post', clientSecretPost(async () => secret)],
  ] as const)('calls a tool with %s', async (method, authentication: ClientAuthentication) => {
    const { as, mcp } = await startServers()
    const client_id = 'app:1'
    const client_secret = secret
    await as.registerClient({ client_id, client_secret, token_endpoint_auth_method: method })
    const { connection } = provide(way, mcp.url, { clientId: client_id, authentication })
    const client = await connect(major, mcp.url, connection)
    expect(await closing(client).call('whoami')).toBe(client_id)
    expect(as.tokenRequests).toHaveLength(1)
    expect(as.tokenRequests[0]?.form['client_id']).toBe(
      method === 'client_secret_post' ? client_id : undefined,
    )
  })

  it('names the resource as its metadata spells it, with no slash added', async () => {
    const signer = await newSigner()
    const as = closing(await startScriptedAuthorizationServer())
    const claims = {
      authorizationServers: [as.url],
      resource: '',
      answer: (request, self) =>
        bearer(request) === undefined ? unauthorized(self) : answerAsMcp(request),
    } satisfies Parameters<typeof startScriptedResource>[0]
    const resource = closing(await startScriptedResource(claims))
    claims.resource = new URL(resource.url).origin
    const { provider, connection } = provide(way, resource.url, {
      clientId: 'agent',
      authentication: privateKeyJwt(signer),
    })
    const client = await connect(major, resource.url, connection)
    await closing(client).call('any')
    provider.invalidateCredentials('tokens')
    await client.call('any')
    const asked = as.requests.filter(({ path }) => path === '/token').map(({ form }) => form)
    expect(asked.map((form) => form.get('resource'))).toEqual([claims.resource, claims.resource])
    expect(claims.resource).toMatch(/:\d+$/)
  })
})

describe.each(majors)('an MCP client on SDK %s', (major) => {
  it('causes no further request when it has both provider.fetch and the provider', async () => {
    const { signer, mcp, spent } = await startServers()
    const authentication = privateKeyJwt(signer)
    const provider = clientCredentialsProvider({ clientId: 'agent', authentication })
    const connection = { fetch: provider.fetch, authProvider: provider }
    const client = closing(await connect(major, mcp.url, connection))
    expect(await client.call('whoami')).toBe('agent')
    expect(spent()).toEqual({ signatures: 1, tokenRequests: 1, discovery: 2 })
    mcp.revokeAll()
    expect(await client.call('whoami')).toBe('agent')
    expect(spent()).toEqual({ signatures: 1, tokenRequests: 1, discovery: 0 })
  })

  it.each(algs)('calls a tool with an assertion signed with %s', async (alg, key) => {
    const signer = await localSigner({ key, alg })
    const { as, mcp, spent } = await startServers({ signer })
    const provider = clientCredentialsProvider({
      clientId: 'agent',
      authentication: privateKeyJwt(signer),
    })
    const client = await connect(major, mcp.url, { fetch: provider.fetch })
    expect(await closing(client).call('whoami')).toBe('agent')
    const [request] = as.tokenRequests
    expect(request?.form).toMatchObject({ grant_type: 'client_credentials', resource: mcp.url })
    expect(request?.form).not.toHaveProperty('client_id')
    expect(request?.assertion?.header).toEqual({
      alg,
      kid: signer.kid,
      typ: 'client-authentication+jwt',
    })
    expect(request?.assertion?.claims).toMatchObject({
      iss: 'agent',
      sub: 'agent',
      aud: as.issuer,
    })
    expect(spent()).toEqual({ signatures: 1, tokenRequests: 1, discovery: 2 })
  })
})
