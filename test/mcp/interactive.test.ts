import { jwks } from '@countersign/core'
import { withClientAuthentication } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import {
  Client as ClientV2,
  StreamableHTTPClientTransport as TransportV2,
} from '@modelcontextprotocol/client'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import { describe, expect, it } from 'vitest'
import {
  startAcceptingOnly,
  startIssuerThief,
  startScriptedAuthorizationServer,
  startWithoutPrivateKeyJwt,
} from '../servers/hostile-authorization-server.js'
import { startScriptedResource } from '../servers/hostile-resource.js'
import { startMcpServer } from '../servers/mcp-server.js'
import { connect, type Major, majors, type ProviderOfBoth } from './clients.ts'
import { closing, silenceWarnings } from './closing.ts'
import { InteractiveProvider, RememberingProvider } from './interactive-provider.ts'
import { replacedKey } from './replaced-key.ts'
import { startScriptedServers } from './scripted-servers.ts'
import { newSigner } from './servers.ts'
import { signIn, startSignInServer } from './sign-in-server.ts'
import { signaturesOf } from './signatures.ts'

const self = { name: 'countersign-test', version: '1.0.0' }

/** Connects until the SDK sends the user to sign in, and returns a function that takes the authorization response. */
const beginning = {
  async v1(url: string, authProvider: ProviderOfBoth) {
    const transport = new TransportV1(new URL(url), { authProvider })
    const client = closing(new ClientV1(self))
    await expect(client.connect(transport as Transport)).rejects.toThrow('Unauthorized')
    return (answer: URLSearchParams) => transport.finishAuth(answer.get('code') ?? '')
  },
  async v2(url: string, authProvider: ProviderOfBoth) {
    const transport = new TransportV2(new URL(url), { authProvider })
    const client = closing(new ClientV2(self))
    await expect(client.connect(transport)).rejects.toThrow('Unauthorized')
    return (answer: URLSearchParams) => transport.finishAuth(answer)
  },
} satisfies Record<Major, unknown>

describe.each(majors)('an interactive client on SDK %s', (major) => {
  it.each([
    ['stores no discovery', InteractiveProvider],
    ['stores the discovery itself', RememberingProvider],
  ])('exchanges the code and refreshes with assertions, and %s', async (_what, Provider) => {
    const signer = await newSigner()
    const as = closing(await startSignInServer({ client_id: 'app', jwks: jwks(signer) }))
    const mcp = closing(await startMcpServer({ issuer: as.issuer, scopesSupported: ['use'] }))
    as.registerResource(mcp.url)
    const signatures = signaturesOf(signer.kid)
    const interactive = new Provider('app')
    const authProvider = withClientAuthentication(interactive, privateKeyJwt(signer), {
      issuer: as.issuer,
    })

    const finish = await beginning[major](mcp.url, authProvider)
    expect(signatures).toEqual([])
    await finish(await signIn(interactive.sentTo))
    const client = closing(await connect(major, mcp.url, { authProvider }))
    expect(await client.call('whoami')).toBe('app')
    mcp.revokeAll()
    expect(await client.call('whoami')).toBe('app')

    const sent = as.tokenRequests.map(({ form, assertion, status }) => ({
      grant: form['grant_type'],
      named: 'client_id' in form,
      resource: form['resource'],
      aud: assertion?.claims.aud,
      sub: assertion?.claims.sub,
      status,
    }))
    const each = { named: false, resource: mcp.url, aud: as.issuer, sub: 'app', status: 200 }
    expect(sent).toEqual([
      { ...each, grant: 'authorization_code' },
      { ...each, grant: 'refresh_token' },
    ])
    const jtis = as.tokenRequests.map(({ assertion }) => assertion?.claims.jti)
    expect(new Set(jtis).size).toBe(2)
    expect(signatures).toHaveLength(2)
  })

  it('exchanges the code with the successor of a key that the server no longer knows', async () => {
    const next = await newSigner()
    const as = closing(await startSignInServer({ client_id: 'app', jwks: jwks(next) }))
    const mcp = closing(await startMcpServer({ issuer: as.issuer, scopesSupported: ['use'] }))
    as.registerResource(mcp.url)
    const key = await replacedKey(next)
    const interactive = new InteractiveProvider('app')
    const authProvider = withClientAuthentication(interactive, privateKeyJwt(key.source))
    const finish = await beginning[major](mcp.url, authProvider)
    await finish(await signIn(interactive.sentTo))
    const client = closing(await connect(major, mcp.url, { authProvider }))
    expect(await client.call('whoami')).toBe('app')
    expect(as.tokenRequests.map(({ status }) => status)).toEqual([401, 200])
    expect(as.tokenRequests[1]?.assertion?.header.kid).toBe(next.kid)
    expect(key.loads).toBe(2)
  })

  it('stops at the metadata of a server that claims another server’s issuer', async () => {
    const thief = closing(await startIssuerThief('https://honest.example'))
    const resource = closing(await startScriptedResource({ authorizationServers: [thief.url] }))
    const signer = await newSigner()
    const signatures = signaturesOf(signer.kid)
    const interactive = new InteractiveProvider('app')
    const authProvider = withClientAuthentication(interactive, privateKeyJwt(signer))
    await expect(connect(major, resource.url, { authProvider })).rejects.toMatchObject(
      major === 'v1' ? { code: 'ERR_OAUTH_ISSUER_MISMATCH' } : { name: 'IssuerMismatchError' },
    )
    expect(() => interactive.sentTo).toThrow('no user was sent to sign in')
    expect(thief.credentials).toEqual([])
    expect(signatures).toEqual([])
  })

  it('stops at the metadata of a server that is not the pinned one', async () => {
    const other = closing(await startAcceptingOnly(['ES256']))
    const resource = closing(await startScriptedResource({ authorizationServers: [other.url] }))
    const interactive = new InteractiveProvider('app')
    const authProvider = withClientAuthentication(interactive, privateKeyJwt(await newSigner()), {
      issuer: 'https://honest.example',
    })
    await expect(connect(major, resource.url, { authProvider })).rejects.toMatchObject({
      code: 'ERR_OAUTH_ISSUER_MISMATCH',
    })
    expect(() => interactive.sentTo).toThrow('no user was sent to sign in')
  })

  it.each([
    ['the method', startWithoutPrivateKeyJwt, 'ERR_OAUTH_METHOD_NOT_ADVERTISED'],
    ['the algorithm', () => startAcceptingOnly(['RS256']), 'ERR_OAUTH_ALG_NOT_ADVERTISED'],
  ])('sends no user to sign in at a server that does not accept %s', async (_what, start, code) => {
    const as = closing(await start())
    const resource = closing(await startScriptedResource({ authorizationServers: [as.url] }))
    const interactive = new InteractiveProvider('app')
    const authProvider = withClientAuthentication(interactive, privateKeyJwt(await newSigner()))
    await expect(connect(major, resource.url, { authProvider })).rejects.toMatchObject({ code })
    expect(() => interactive.sentTo).toThrow('no user was sent to sign in')
  })

  it('follows a resource that moves to another authorization server', async () => {
    silenceWarnings()
    const { as, resource, claims, accepted, signer } = await startScriptedServers()
    const other = closing(await startScriptedAuthorizationServer())
    const interactive = new InteractiveProvider('app')
    interactive.saveTokens({ access_token: 'old', token_type: 'bearer', refresh_token: 'r' })
    const authProvider = withClientAuthentication(interactive, privateKeyJwt(signer))
    const client = closing(await connect(major, resource.url, { authProvider }))
    expect(await client.call('any')).toBe('ok')
    const sentBefore = as.credentials.length
    claims.authorizationServers = [other.url]
    accepted.clear()
    await expect(client.call('any')).rejects.toThrow('Unauthorized')
    expect(interactive.sentTo.origin).toBe(other.url)
    expect(as.credentials).toHaveLength(sentBefore)
  })

  it('signs nothing for the stored discovery of a server that lies', async () => {
    const thief = closing(await startIssuerThief('https://honest.example'))
    const resource = closing(await startScriptedResource({ authorizationServers: [thief.url] }))
    const signer = await newSigner()
    const signatures = signaturesOf(signer.kid)
    const interactive = new RememberingProvider('app')
    interactive.saveDiscoveryState({
      authorizationServerUrl: thief.url,
      authorizationServerMetadata: {
        issuer: 'https://honest.example',
        authorization_endpoint: `${thief.url}/authorize`,
        token_endpoint: `${thief.url}/token`,
        response_types_supported: ['code'],
        token_endpoint_auth_methods_supported: ['private_key_jwt'],
      },
    })
    interactive.saveTokens({ access_token: 'old', token_type: 'bearer', refresh_token: 'r' })
    const authProvider = withClientAuthentication(interactive, privateKeyJwt(signer))
    await expect(connect(major, resource.url, { authProvider })).rejects.toMatchObject({
      code: 'ERR_OAUTH_ISSUER_MISMATCH',
    })
    expect(thief.requests).toEqual([])
    expect(signatures).toEqual([])
  })
})
