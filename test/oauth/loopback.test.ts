import {
  clientSecretBasic,
  clientSecretPost,
  discoverAuthorizationServer,
  discoverProtectedResource,
  externalAssertion,
  type Fetch,
  privateKeyJwt,
  tokenSource,
} from '@countersign/oauth'
import { requireSecureUrl } from '@countersign/oauth/internal'
import { describe, expect, it } from 'vitest'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import { startScriptedServer } from '../servers/scripted-server.js'
import { redirect, tokenResponse } from '../servers/token-responses.js'
import { closing, es256Signer, refusal, signaturesOf } from './fixtures.ts'

const INSECURE = 'ERR_OAUTH_INSECURE_ENDPOINT'

const hosts = [
  'localhost',
  'LOCALHOST',
  'localhost.',
  'x.localhost',
  'a.b.localhost.',
  '127.0.0.1',
  '127.255.255.254',
  '127.1',
  '0x7f.1',
  '0x7f000001',
  '2130706433',
  '017700000001',
  '１２７.０.０.１',
  'ｌｏｃａｌｈｏｓｔ',
  '127。0。0。1',
  '%31%32%37.0.0.1',
  '0.0.0.0',
  '0',
  '[::1]',
  '[0:0:0:0:0:0:0:1]',
  '[::]',
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '[::ffff:0.0.0.0]',
]
const locations = hosts.flatMap((host) => [`http://${host}:2375`, `https://${host}:2375`])

/** A `fetch` that answers for every host, and records the hosts. */
function remote(body: Record<string, unknown>) {
  const requested: string[] = []
  const fetch: Fetch = async (input) => {
    requested.push(new URL(String(input)).hostname)
    return Response.json(body)
  }
  return { fetch, requested }
}

function serverMetadata(changes: Record<string, unknown> = {}) {
  return {
    issuer: 'https://as.test',
    token_endpoint: 'https://as.test/token',
    token_endpoint_auth_methods_supported: [
      'private_key_jwt',
      'client_secret_basic',
      'client_secret_post',
    ],
    ...changes,
  }
}

describe.each(locations)('a server on another machine cannot name %s', (location) => {
  it('as an authorization server of a resource', async () => {
    const { fetch, requested } = remote({
      resource: 'https://api.test/mcp',
      authorization_servers: ['https://as.test', `${location}/v1`],
    })
    const discover = () => discoverProtectedResource('https://api.test/mcp', { fetch })
    expect((await refusal(discover)).code).toBe(INSECURE)
    expect(requested).toEqual(['api.test'])
  })

  it("as the location of a resource's metadata", async () => {
    const { fetch, requested } = remote({ resource: 'https://api.test/mcp' })
    const options = { fetch, metadataUrl: `${location}/v1` }
    const discover = () => discoverProtectedResource('https://api.test/mcp', options)
    expect((await refusal(discover)).code).toBe(INSECURE)
    expect(requested).toEqual([])
  })

  it.each(['token_endpoint', 'introspection_endpoint', 'jwks_uri'])(
    "as an authorization server's %s",
    async (member) => {
      const { fetch } = remote(serverMetadata({ [member]: `${location}/token` }))
      const discover = () => discoverAuthorizationServer('https://as.test', { fetch })
      expect((await refusal(discover)).code).toBe(INSECURE)
    },
  )

  it('as the token endpoint in given metadata', async () => {
    const metadata = serverMetadata({ token_endpoint: `${location}/token` })
    const { fetch, requested } = remote({})
    const signer = await es256Signer()
    const signatures = await signaturesOf(async () => {
      for (const authentication of [
        privateKeyJwt(signer),
        externalAssertion(() => 'a.b.c'),
        clientSecretBasic('secret'),
        clientSecretPost('secret'),
      ]) {
        const body = new URLSearchParams()
        const headers = new Headers()
        const direct = () => authentication(metadata, { client_id: 'agent' }, body, headers)
        expect((await refusal(direct)).code).toBe(INSECURE)
        expect([[...body], [...headers]]).toEqual([[], []])
        const client = { issuer: 'https://as.test', clientId: 'agent', authentication }
        const source = tokenSource({ ...client, metadata, fetch })
        expect((await refusal(() => source.token())).code).toBe(INSECURE)
      }
    })
    expect(signatures).toEqual([])
    expect(requested).toEqual([])
  })

  it('as the target of a redirect', async () => {
    const { fetch: forTokens } = remote(serverMetadata())
    const requested: string[] = []
    const fetch: Fetch = async (input, init) => {
      const { hostname, pathname } = new URL(String(input))
      if (hostname === 'as.test')
        return pathname === '/token' ? tokenResponse() : forTokens(input, init)
      requested.push(hostname)
      // A header is ASCII; parsing decodes the rest.
      return redirect(`${location}/create`.replace(/[^ -~]/g, encodeURIComponent))
    }
    const source = tokenSource({
      issuer: 'https://as.test',
      clientId: 'agent',
      authentication: clientSecretBasic('secret'),
      resource: 'https://api.test/mcp',
      fetch,
    })
    const response = await source.fetch('https://api.test/mcp', { method: 'POST', body: '{}' })
    expect(response.status).toBe(307)
    expect(requested).toEqual(['api.test'])
  })
})

describe('this machine may be named', () => {
  it('by a resource and an issuer on it', async () => {
    const as = closing(await startScriptedAuthorizationServer())
    const resource = closing(
      await startScriptedServer(({ headers: { host } }) =>
        Response.json({ resource: `http://${host}/mcp`, authorization_servers: [as.url] }),
      ),
    )
    const { authorization_servers: [issuer = ''] = [] } = await discoverProtectedResource(
      `${resource.url}/mcp`,
    )
    const authentication = privateKeyJwt(await es256Signer())
    const source = tokenSource({ issuer, clientId: 'agent', authentication })
    expect(await source.token()).toBe('access-token')
  })

  it("by the caller's own configuration", () => {
    expect(requireSecureUrl('http://127.0.0.1:8080', 'issuer').href).toBe('http://127.0.0.1:8080/')
    const options = { namedBy: 'http://localhost:9000' }
    expect(requireSecureUrl('http://[::1]/', 'issuer', options).href).toBe('http://[::1]/')
  })

  it('by a host with a name below localhost that names itself', async () => {
    const server = serverMetadata({
      issuer: 'https://as.localhost',
      token_endpoint: 'https://as.localhost:8443/token',
    })
    const { fetch } = remote(server)
    expect(await discoverAuthorizationServer('https://as.localhost', { fetch })).toEqual(server)
    const body = new URLSearchParams()
    await clientSecretPost('secret')(server, { client_id: 'agent' }, body, new Headers())
    expect(body.get('client_secret')).toBe('secret')
    const other = remote({ ...server, token_endpoint: 'https://other.localhost/token' })
    const options = { fetch: other.fetch }
    const discover = () => discoverAuthorizationServer('https://as.localhost', options)
    expect((await refusal(discover)).code).toBe(INSECURE)
  })

  it('but not by a similar name, or a malformed URL', () => {
    for (const namedBy of [
      'https://127.0.0.1.evil.test',
      'https://evil.localhost',
      'https://as.test',
      'as.test',
    ]) {
      const options = { namedBy }
      expect(() => requireSecureUrl('http://127.0.0.1', 'endpoint', options)).toThrow(
        expect.objectContaining({ code: INSECURE }),
      )
    }
  })
})
