import { jwks, rotating, type Signer } from '@countersign/core'
import { clientCredentialsProvider, withClientAuthentication } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import { describe, expect, it, vi } from 'vitest'
import { connect, majors } from './clients.ts'
import { closing } from './closing.ts'
import { InteractiveProvider } from './interactive-provider.ts'
import { newSigner, startLine } from './line.ts'

/** A name under which a key stands that the authorization server knows no longer, and then one that it does know. */
async function replacedKey(next: Signer) {
  const warning = vi.spyOn(console, 'warn').mockImplementation(() => {})
  closing({ close: async () => warning.mockRestore() })
  let named = await newSigner()
  let loads = 0
  const source = closing(
    rotating(async () => {
      loads++
      return named
    }),
  )
  await source.ready()
  named = next
  return {
    source,
    get loads() {
      return loads
    },
  }
}

describe.each(majors)('a key that was replaced, on SDK %s', (major) => {
  it.each([
    ['with provider.fetch', true],
    ['without provider.fetch', false],
  ])('opens the MCP server all the same, %s', async (_how, withFetch) => {
    const next = await newSigner()
    const { as, mcp } = await startLine({ client: { jwks: jwks(next) } })
    const key = await replacedKey(next)
    const provider = clientCredentialsProvider({
      clientId: 'agent',
      authentication: privateKeyJwt(key.source),
    })
    const fetch = withFetch ? provider.fetch : undefined
    const client = closing(await connect(major, mcp.url, { authProvider: provider, fetch }))
    expect(await client.call('whoami')).toBe('agent')
    const sent = as.tokenRequests.map(({ assertion, status }) => [assertion?.header.kid, status])
    expect(sent).toEqual([
      [expect.not.stringMatching(next.kid), 401],
      [next.kid, 200],
    ])
    expect(key.loads).toBe(2)
  })

  it('is told by the SDK to the provider that it wraps, and is loaded anew', async () => {
    const next = await newSigner()
    const key = await replacedKey(next)
    const interactive = new InteractiveProvider('app')
    const forgotten: string[] = []
    const provider = Object.assign(interactive, {
      invalidateCredentials: (scope: string) => void forgotten.push(scope),
    })
    const authProvider = withClientAuthentication(provider, privateKeyJwt(key.source))
    const { as } = await startLine()
    const metadata = { ...as.metadata, authorization_endpoint: `${as.issuer}/auth` }
    const state = {
      authorizationServerUrl: as.issuer,
      authorizationServerMetadata: {
        ...metadata,
        response_types_supported: ['code'],
        token_endpoint_auth_methods_supported: ['private_key_jwt'],
      },
    }
    const added = authProvider as unknown as {
      saveDiscoveryState(given: typeof state): Promise<void>
      addClientAuthentication(
        headers: Headers,
        params: URLSearchParams,
        url: string,
        metadata: object,
      ): Promise<void>
      invalidateCredentials(scope: string): Promise<void>
    }
    await added.saveDiscoveryState(state)
    const { authorizationServerMetadata: known } = state
    const authenticate = () =>
      added.addClientAuthentication(
        new Headers(),
        new URLSearchParams(),
        known.token_endpoint,
        known,
      )
    await authenticate()
    await added.invalidateCredentials('tokens')
    expect(key.loads).toBe(1)
    await added.invalidateCredentials(major === 'v1' ? 'all' : 'client')
    expect(key.source.current).toBe(next)
    expect(forgotten).toEqual(['tokens', major === 'v1' ? 'all' : 'client'])
    await added.invalidateCredentials('all')
    expect(key.loads).toBe(2)
  })
})
