import { clientCredentialsProvider, withClientAuthentication } from '@countersign/mcp'
import { type Fetch, privateKeyJwt } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import { startScriptedResource, unauthorized } from '../servers/hostile-resource.js'
import { startScriptedServer } from '../servers/scripted-server.js'
import { redirect } from '../servers/token-responses.js'
import { authorize, connect, type Major, majors } from './clients.ts'
import { closing } from './closing.ts'
import { InteractiveProvider } from './interactive-provider.ts'
import { newSigner } from './line.ts'
import { answerAsMcp, bearer } from './scripted-mcp.ts'
import { signaturesOf } from './signatures.ts'

const mcpUrl = 'https://mcp.example/mcp'
const asUrl = 'https://as.example'

/** What a resource and its authorization server say of themselves; `victim` is a service on this machine. */
interface Lie {
  readonly authorizationServers?: (victim: URL) => readonly string[]
  readonly resourceMetadata?: (victim: URL) => string
  readonly metadata?: (victim: URL) => Readonly<Record<string, unknown>>
  /** Where the resource redirects every request. */
  readonly redirect?: (victim: URL) => string
}

const onPort = (host: string) => (victim: URL) => [`http://${host}:${victim.port}`]

const lies: Readonly<Record<string, Lie>> = {
  'its authorization server': { authorizationServers: ({ origin }) => [origin] },
  'its authorization server as localhost': { authorizationServers: onPort('localhost') },
  'its authorization server as a name below localhost': {
    authorizationServers: onPort('a.localhost'),
  },
  'its authorization server as 127.1': { authorizationServers: onPort('127.1') },
  'its authorization server as 0x7f.1': { authorizationServers: onPort('0x7f.1') },
  'its authorization server as 2130706433': { authorizationServers: onPort('2130706433') },
  'its authorization server as full-width digits': {
    authorizationServers: onPort('１２７．０．０．１'),
  },
  'its authorization server as an IPv6 address': {
    authorizationServers: onPort('[::ffff:127.0.0.1]'),
  },
  'its authorization server over https': {
    authorizationServers: ({ port }) => [`https://localhost:${port}`],
  },
  'the second of its authorization servers': {
    authorizationServers: ({ origin }) => [asUrl, origin],
  },
  'its metadata': { resourceMetadata: ({ origin }) => `${origin}/containers/json` },
  'its metadata at a well-known location': {
    resourceMetadata: ({ origin }) => `${origin}/.well-known/oauth-protected-resource`,
  },
  'the issuer of its authorization server': { metadata: ({ origin }) => ({ issuer: origin }) },
  'the token endpoint of its authorization server': {
    metadata: ({ origin }) => ({ token_endpoint: `${origin}/token` }),
  },
  'the token endpoint of its authorization server over https': {
    metadata: ({ port }) => ({ token_endpoint: `https://127.0.0.1:${port}/token` }),
  },
}

/** An MCP server and an authorization server that are not on this machine as far as a client can see. */
async function startRemote(lie: Lie = {}) {
  const { authorizationServers, resourceMetadata, metadata } = lie
  const victim = closing(await startScriptedServer(() => Response.json({})))
  const at = new URL(victim.url)
  const as = closing(
    await startScriptedAuthorizationServer({
      metadata: {
        issuer: asUrl,
        authorization_endpoint: `${asUrl}/authorize`,
        token_endpoint: `${asUrl}/token`,
        jwks_uri: `${asUrl}/jwks`,
        ...metadata?.(at),
      },
    }),
  )
  const resourceMetadataUrl =
    resourceMetadata?.(at) ?? 'https://mcp.example/.well-known/oauth-protected-resource/mcp'
  const mcp = closing(
    await startScriptedResource({
      authorizationServers: authorizationServers?.(at) ?? [asUrl],
      resource: mcpUrl,
      answer(request) {
        if (lie.redirect !== undefined) return redirect(lie.redirect(at))
        return bearer(request) === undefined
          ? unauthorized({ url: mcpUrl, resourceMetadataUrl })
          : answerAsMcp(request)
      },
    }),
  )
  const places = new Map([
    [new URL(mcpUrl).host, new URL(mcp.url).origin],
    [new URL(asUrl).host, as.url],
  ])
  const reached: string[] = []
  const remote: Fetch = (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input)
    reached.push(url.host)
    const place = places.get(url.host)
    return fetch(place === undefined ? url : new URL(url.pathname + url.search, place), init)
  }
  const signer = await newSigner()
  return { victim, as, remote, reached, signer, signatures: signaturesOf(signer.kid) }
}

type Remote = Awaited<ReturnType<typeof startRemote>>

function provider({ signer, remote }: Remote, issuer?: string) {
  const authentication = privateKeyJwt(signer)
  return clientCredentialsProvider({ clientId: 'agent', authentication, issuer, fetch: remote })
}

/** Connects to the MCP server, or has an SDK's own flow go over `provider.fetch`. */
const attempts = {
  'provider.fetch': async (major: Major, remote: Remote, issuer?: string) => {
    const authProvider = provider(remote, issuer)
    const client = await connect(major, mcpUrl, { authProvider, fetch: authProvider.fetch })
    await client.close()
  },
  'the SDK’s own flow over provider.fetch': async (
    major: Major,
    remote: Remote,
    issuer?: string,
    resourceMetadataUrl?: URL,
  ) => {
    const authProvider = provider(remote, issuer)
    // As a transport does before its flow.
    await authProvider.fetch(mcpUrl, { method: 'POST', body: '{}' }).catch(() => {})
    authProvider.invalidateCredentials('all')
    const options = { serverUrl: mcpUrl, fetchFn: authProvider.fetch }
    await authorize(major, authProvider, {
      ...options,
      ...(resourceMetadataUrl && { resourceMetadataUrl }),
    })
  },
}

describe.each(
  majors.flatMap((major) =>
    Object.entries(attempts).map(([through, attempt]) => ({ major, through, attempt })),
  ),
)('on SDK $major, through $through', ({ major, attempt }) => {
  it.each(Object.entries(lies))(
    'a server elsewhere that puts %s on this machine has no request sent there',
    async (_what, lie) => {
      const remote = await startRemote(lie)
      const victim = new URL(remote.victim.url)
      const at = lie.resourceMetadata && new URL(lie.resourceMetadata(victim))
      // v1 and v2 go on with the root of the MCP server where they cannot read its metadata.
      await attempt(major, remote, undefined, at).catch(() => {})
      expect(remote.victim.requests).toEqual([])
      expect(new Set(remote.reached)).not.toContain(victim.host)
      if (lie.metadata !== undefined) expect(remote.signatures).toEqual([])
    },
  )

  it('servers elsewhere are reached, so that the others would be noticed', async () => {
    const remote = await startRemote()
    await attempt(major, remote)
    expect(new Set(remote.reached)).toEqual(new Set(['mcp.example', 'as.example']))
    expect(remote.as.credentials.length).toBeGreaterThan(0)
  })
})

describe.each(majors)('on SDK %s', (major) => {
  it('an authorization server on this machine is used where the caller pins it', async () => {
    const local = closing(await startScriptedAuthorizationServer())
    const remote = await startRemote({ authorizationServers: () => [] })
    await attempts['provider.fetch'](major, remote, local.url)
    expect(local.credentials).toHaveLength(1)
  })

  it.each([
    ['to this machine is not followed, although redirects are', '/containers/create', 0],
    ['to its own machine is followed, so that the other would be noticed', undefined, 1],
  ])('a redirect of the MCP server %s', async (_where, path, times) => {
    const to =
      path === undefined ? () => 'https://as.example/mcp' : ({ origin }: URL) => origin + path
    const remote = await startRemote({ redirect: to })
    const authProvider = provider(remote)
    const connection = {
      authProvider,
      fetch: authProvider.fetch,
      redirectPolicy: 'follow',
    } as const
    await expect(connect(major, mcpUrl, connection)).rejects.toThrow()
    expect(remote.victim.requests).toEqual([])
    expect(remote.as.requests.filter((request) => request.path === '/mcp')).toHaveLength(times)
  })

  it('a pin on this machine does not have the metadata of a server elsewhere read from there', async () => {
    const remote = await startRemote({ resourceMetadata: ({ origin }) => `${origin}/info` })
    const { victim } = remote
    await attempts['provider.fetch'](major, remote, victim.url).catch(() => {})
    await attempts['the SDK’s own flow over provider.fetch'](
      major,
      remote,
      victim.url,
      new URL(`${victim.url}/info`),
    ).catch(() => {})
    expect(victim.requests.map(({ path }) => path)).not.toContain('/info')
  })
})

describe.each(majors)('on SDK %s, without provider.fetch', (major) => {
  it.each(Object.entries(lies).filter(([, { metadata }]) => metadata !== undefined))(
    'no assertion is signed for a server elsewhere that puts %s on this machine',
    async (_what, lie) => {
      const remote = await startRemote(lie)
      const connection = { authProvider: provider(remote), fetch: remote.remote as typeof fetch }
      await expect(connect(major, mcpUrl, connection)).rejects.toThrow()
      expect(remote.signatures).toEqual([])
      expect(remote.victim.requests).toEqual([])
    },
  )

  it('no assertion goes to an authorization server on this machine that a server elsewhere names', async () => {
    const local = closing(await startScriptedAuthorizationServer())
    const remote = await startRemote({ authorizationServers: () => [local.url] })
    const connection = { authProvider: provider(remote), fetch: remote.remote as typeof fetch }
    await expect(connect(major, mcpUrl, connection)).rejects.toMatchObject({
      code: 'ERR_OAUTH_INSECURE_ENDPOINT',
    })
    expect(remote.signatures).toEqual([])
    expect(local.credentials).toEqual([])
  })

  it('nobody is sent to sign in where the token endpoint is on this machine', async () => {
    const remote = await startRemote({
      metadata: ({ origin }) => ({ token_endpoint: `${origin}/token` }),
    })
    const interactive = new InteractiveProvider('agent')
    const authProvider = withClientAuthentication(interactive, privateKeyJwt(remote.signer))
    const connection = { authProvider, fetch: remote.remote as typeof fetch }
    await expect(connect(major, mcpUrl, connection)).rejects.toMatchObject({
      code: 'ERR_OAUTH_INSECURE_ENDPOINT',
    })
    expect(() => interactive.sentTo).toThrow('nobody was sent away')
  })
})
