import { clientCredentialsProvider, withClientAuthentication } from '@countersign/mcp'
import {
  discoverAuthorizationServer,
  dpopSession,
  type Fetch,
  privateKeyJwt,
} from '@countersign/oauth'
import { decodeJwt } from 'jose'
import { describe, expect, it } from 'vitest'
import { connect, majors, type ProviderOfBoth, provide } from '../mcp/clients.ts'
import { closing } from '../mcp/closing.ts'
import { InteractiveProvider } from '../mcp/interactive-provider.ts'
import { newSigner, startServers } from '../mcp/servers.ts'
import { refusal } from '../oauth/fixtures.ts'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import { startScriptedResource, unauthorized } from '../servers/hostile-resource.js'
import { signInWithProofs } from './sign-in.ts'

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

  it.each([
    ['invalid_dpop_proof', 1],
    ['use_dpop_nonce', 2],
  ])(
    'is told that the proof was refused after %s, and requests no other token',
    async (error, sent) => {
      const { signer, as } = await startServers({ dpop: 'supported' })
      let proofs = 0
      const mcp = closing(
        await startScriptedResource({
          authorizationServers: [as.issuer],
          answer: ({ headers }, self) => {
            if (headers['dpop'] === undefined) return unauthorized(self)
            proofs += 1
            const challenge = {
              'www-authenticate': `DPoP error="${error}"`,
              'dpop-nonce': `n${proofs}`,
            }
            return new Response(null, { status: 401, headers: challenge })
          },
        }),
      )
      as.registerResource(mcp.url, [])
      const authentication = privateKeyJwt(signer)
      const { fetch } = clientCredentialsProvider({ clientId: 'agent', authentication, dpop: true })
      for (let call = 1; call <= 3; call++) {
        const refused = await refusal(() => fetch(mcp.url, { method: 'POST', body: '{}' }))
        expect(refused.code).toBe('ERR_OAUTH_TOKEN_REFUSED')
        expect(refused.message).toContain('it refuses the DPoP proof, and not the token')
        expect(proofs).toBe(call * sent)
      }
      expect(as.counters.token).toBe(1)
    },
  )

  it('is told each time that a resource wants bound tokens', async () => {
    const { signer, as, mcp } = await startServers({ dpop: 'supported' })
    const authentication = privateKeyJwt(signer)
    const { fetch } = clientCredentialsProvider({ clientId: 'agent', authentication })
    for (let call = 1; call <= 3; call++) {
      const refused = await refusal(() => fetch(mcp.url, { method: 'POST', body: '{}' }))
      expect(refused.message).toContain('it accepts only tokens that are bound to a key')
    }
    expect(as.counters.token).toBe(1)
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

describe('where DPoP is only preferred, and the server lists other algorithms', () => {
  const other = { dpop_signing_alg_values_supported: ['EdDSA'] }
  const sessionOf = (provider: object) => (provider as { dpop(): unknown }).dpop()

  it.each([
    [['EdDSA'], false],
    [['ES256'], true],
  ])('%j: a client with a user sends a proof: %s', async (algs, isSent) => {
    const sent: Headers[] = []
    const as = closing(
      await startScriptedAuthorizationServer({
        metadata: { dpop_signing_alg_values_supported: algs },
      }),
    )
    const options = { dpop: { required: false }, fetch: recorded(sent) }
    const interactive = new InteractiveProvider('app')
    const wrapped = withClientAuthentication(interactive, privateKeyJwt(await newSigner()), options)
    const metadata = await discoverAuthorizationServer(as.url)
    await (wrapped as unknown as ProviderOfBoth).saveDiscoveryState?.({
      authorizationServerUrl: as.url,
      authorizationServerMetadata: metadata as never,
    })
    expect(sessionOf(wrapped) !== undefined).toBe(isSent)
    const body = new URLSearchParams({ grant_type: 'refresh_token' })
    await wrapped.fetch(`${as.url}/token`, { method: 'POST', body })
    expect(sent.map((headers) => headers.has('dpop'))).toEqual([isSent])
  })

  it('a client for itself gives an SDK no session', async () => {
    const signer = await newSigner()
    const as = closing(await startScriptedAuthorizationServer({ metadata: other }))
    const mcp = closing(await startScriptedResource({ authorizationServers: [as.url] }))
    const provider = clientCredentialsProvider({
      ...{ clientId: 'agent', authentication: privateKeyJwt(signer), serverUrl: mcp.url },
      dpop: { required: false },
    })
    expect(sessionOf(provider)).toBeDefined()
    await provider.discoveryState()
    expect(sessionOf(provider)).toBeUndefined()
  })
})

/** A `fetch` that records the headers of requests. */
function recorded(sent: Headers[]): Fetch {
  return (input, init) => {
    sent.push(new Headers(init?.headers))
    return fetch(input, init)
  }
}

describe.each(majors)('an interactive client on SDK %s', (major) => {
  it('gets another token after a restart with another key', async () => {
    const signer = await newSigner()
    const signedIn = await signInWithProofs({
      ...{ major, signer, session: dpopSession(), nonces: false },
    })
    const other = dpopSession()
    const tools = await signedIn.restart(other)
    expect(await tools.call('whoami')).toBe('app')
    expect(decodeJwt(signedIn.token())['cnf']).toEqual({ jkt: await other.jkt() })
    expect(signedIn.as.tokenRequests.map(({ form }) => form['grant_type'])).toEqual([
      'authorization_code',
      'refresh_token',
    ])
  })

  it('exchanges the code, calls tools and refreshes with bound tokens', async () => {
    const signer = await newSigner()
    const session = dpopSession()
    const signedIn = await signInWithProofs({ major, signer, session, nonces: true })
    const { tools, as, mcp, token } = signedIn
    expect(await tools.call('whoami')).toBe('app')
    const first = token()
    expect(decodeJwt(first)['cnf']).toEqual({ jkt: await session.jkt() })

    mcp.dpop.revokeAll()
    expect(await tools.call('whoami')).toBe('app')
    expect(token()).not.toBe(first)
    const assertions = as.tokenRequests.map(({ assertion }) => assertion?.claims.jti)
    expect(new Set(assertions).size).toBe(as.tokenRequests.length)
    expect(as.tokenRequests.map(({ form, status }) => [form['grant_type'], status])).toEqual([
      ['authorization_code', 400],
      ['authorization_code', 200],
      ['refresh_token', 200],
    ])
  })
})
