import { jwks } from '@countersign/core'
import { clientCredentialsProvider, withClientAuthentication } from '@countersign/mcp'
import { dpopSession, privateKeyJwt } from '@countersign/oauth'
import {
  Client as ClientV2,
  StreamableHTTPClientTransport as TransportV2,
} from '@modelcontextprotocol/client'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import { decodeJwt } from 'jose'
import { describe, expect, it } from 'vitest'
import { connect, majors, type ProviderOfBoth, provide } from '../mcp/clients.ts'
import { closing } from '../mcp/closing.ts'
import { InteractiveProvider } from '../mcp/interactive-provider.ts'
import { newSigner, startServers } from '../mcp/servers.ts'
import { signIn, startSignInServer } from '../mcp/sign-in-server.ts'
import { refusal } from '../oauth/fixtures.ts'
import { startMcpServer } from '../servers/mcp-server.js'

const waysWithProofs = [
  { major: 'v1', way: 'fetch' },
  { major: 'v2', way: 'fetch' },
  { major: 'v2', way: 'OAuthClientProvider' },
] as const

describe.each(waysWithProofs)('a client for itself on SDK $major, by $way', (way) => {
  it.each(['supported', 'nonce'] as const)(
    'calls tools with bound tokens; nonces: %s',
    async (dpop) => {
      const { signer, as, mcp, spent } = await startServers({ dpop })
      const { connection } = provide(way, mcp.url, {
        clientId: 'agent',
        authentication: privateKeyJwt(signer),
        issuer: as.issuer,
        dpop: true,
      })
      const client = closing(await connect(way.major, mcp.url, connection))
      expect(await client.call('whoami')).toBe('agent')
      const tokenRequests = dpop === 'nonce' ? 2 : 1
      expect(spent()).toMatchObject({ signatures: tokenRequests, tokenRequests })
      mcp.dpop.requireNonce('first')
      expect(await client.call('whoami')).toBe('agent')
      expect(spent()).toMatchObject({ signatures: 0, tokenRequests: 0 })
      mcp.dpop.revokeAll()
      expect(await client.call('whoami')).toBe('agent')
      expect(spent()).toMatchObject({ signatures: 1, tokenRequests: 1 })
      expect(new Set(mcp.dpop.proofs).size).toBe(mcp.dpop.proofs.length)
    },
  )
})

describe('a client for itself', () => {
  it('is told that an AuthProvider has no place for proofs', async () => {
    const { signer, mcp } = await startServers({ dpop: 'supported' })
    const authentication = privateKeyJwt(signer)
    const { authProvider } = clientCredentialsProvider({
      ...{ clientId: 'agent', authentication, dpop: true },
    })
    const connecting = connect('v2', mcp.url, { authProvider })
    await expect(connecting).rejects.toThrow(/fetch: provider\.fetch/)
  })

  it('refuses a server that grants a bearer token', async () => {
    const { signer, as, mcp } = await startServers()
    const authentication = privateKeyJwt(signer)
    const options = { clientId: 'agent', authentication, issuer: as.issuer }
    const { fetch } = clientCredentialsProvider({ ...options, dpop: true })
    const error = await refusal(() => connect('v2', mcp.url, { fetch }))
    expect(error.message).toContain('the client requires DPoP')
    const preferred = clientCredentialsProvider({ ...options, dpop: { required: false } })
    const client = closing(await connect('v2', mcp.url, { fetch: preferred.fetch }))
    expect(await client.call('whoami')).toBe('agent')
  })
})

const self = { name: 'countersign-test', version: '1.0.0' }

describe.each(majors)('an interactive client on SDK %s', (major) => {
  it('exchanges the code, calls tools and refreshes with bound tokens', async () => {
    const signer = await newSigner()
    const as = closing(
      await startSignInServer({
        ...{ client_id: 'app', jwks: jwks(signer), dpop_bound_access_tokens: true },
      }),
    )
    const mcp = closing(
      await startMcpServer({ issuer: as.issuer, scopesSupported: ['use'], dpop: true }),
    )
    as.registerResource(mcp.url)
    mcp.dpop.requireNonce('first')
    const interactive = new InteractiveProvider('app')
    const session = dpopSession()
    const wrapped = withClientAuthentication(interactive, privateKeyJwt(signer), {
      ...{ issuer: as.issuer, dpop: { session } },
    })
    const authProvider = wrapped as unknown as ProviderOfBoth
    const fetch = major === 'v1' ? { fetch: wrapped.fetch } : {}
    const transport =
      major === 'v1'
        ? new TransportV1(new URL(mcp.url), { authProvider, ...fetch })
        : new TransportV2(new URL(mcp.url), { authProvider })
    const client = closing(major === 'v1' ? new ClientV1(self) : new ClientV2(self))
    await expect(client.connect(transport as Transport)).rejects.toThrow('Unauthorized')
    const answer = await signIn(interactive.sentTo)
    await (transport instanceof TransportV1
      ? transport.finishAuth(answer.get('code') ?? '')
      : transport.finishAuth(answer))

    const tools = closing(await connect(major, mcp.url, { authProvider, ...fetch }))
    expect(await tools.call('whoami')).toBe('app')
    const token = interactive.tokens()?.access_token ?? ''
    expect(decodeJwt(token)['cnf']).toEqual({ jkt: await session.jkt() })

    mcp.dpop.revokeAll()
    expect(await tools.call('whoami')).toBe('app')
    expect(interactive.tokens()?.access_token).not.toBe(token)
    const assertions = as.tokenRequests.map(({ assertion }) => assertion?.claims.jti)
    expect(new Set(assertions).size).toBe(as.tokenRequests.length)
    expect(as.tokenRequests.map(({ form, status }) => [form['grant_type'], status])).toEqual([
      ['authorization_code', 400],
      ['authorization_code', 200],
      ['refresh_token', 200],
    ])
  })
})
