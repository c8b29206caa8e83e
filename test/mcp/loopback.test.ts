import { clientCredentialsProvider, withClientAuthentication } from '@countersign/mcp'
import { type Fetch, privateKeyJwt } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import { startScriptedResource, unauthorized } from '../servers/hostile-resource.js'
import { startScriptedServer } from '../servers/scripted-server.js'
import { redirect } from '../servers/token-responses.js'
import { authorize, connect, type Major, majors, provide, type Way, ways } from './clients.ts'
import { closing } from './closing.ts'
import { InteractiveProvider } from './interactive-provider.ts'
import { answerAsMcp, bearer } from './scripted-mcp.ts'
import { newSigner } from './servers.ts'
import { signaturesOf } from './signatures.ts'

const mcpUrl = 'https://mcp.example/mcp'
const asUrl = 'https://as.example'

/** Metadata of a resource and its authorization server; `victim` is a service on this machine. */
interface Lie {
  readonly authorizationServers?: (victim: URL) => readonly string[]
  readonly resourceMetadata?: (victim: URL) => string
  readonly metadata?: (victim: URL) => Readonly<Record<string, unknown>>
  /** The URL to which the resource redirects every request. */
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

/** Starts an MCP server and an authorization server that a client takes for servers on other machines. */
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

function settingsFor({ signer, remote }: Remote, issuer?: string) {
  return { clientId: 'agent', authentication: privateKeyJwt(signer), issuer, fetch: remote }
}

type Attempt = (remote: Remote, issuer?: string, resourceMetadataUrl?: URL) => Promise<void>

/** Connects to the MCP server. */
const connecting =
  (way: Way): Attempt =>
  async (remote, issuer) => {
    const { connection } = provide(way, mcpUrl, settingsFor(remote, issuer))
    const client = await connect(way.major, mcpUrl, connection)
    await client.close()
  }

/** Runs the SDK's own flow, over `provider.fetch` or not. */
const ownFlow =
  (major: Major, overProviderFetch: boolean): Attempt =>
  async (remote, issuer, resourceMetadataUrl) => {
    const way = { major, way: 'OAuthClientProvider' } as const
    const { provider } = provide(way, mcpUrl, settingsFor(remote, issuer))
    // As a transport does before its flow.
    await provider.fetch(mcpUrl, { method: 'POST', body: '{}' }).catch(() => {})
    provider.invalidateCredentials('all')
    await authorize(major, provider, {
      serverUrl: mcpUrl,
      fetchFn: overProviderFetch ? provider.fetch : remote.remote,
      ...(resourceMetadataUrl && { resourceMetadataUrl }),
    })
  }

const attempts = [
  ...ways.map((way) => ({ name: `SDK ${way.major} through ${way.way}`, attempt: connecting(way) })),
  ...majors.flatMap((major) => [
    { name: `SDK ${major}, its own flow over provider.fetch`, attempt: ownFlow(major, true) },
    { name: `SDK ${major}, its own flow without provider.fetch`, attempt: ownFlow(major, false) },
  ]),
]

describe.each(attempts)('on $name', ({ attempt }) => {
  it.each(Object.entries(lies))(
    'a server elsewhere that puts %s on this machine has no request sent there',
    async (_what, lie) => {
      const remote = await startRemote(lie)
      const victim = new URL(remote.victim.url)
      const at = lie.resourceMetadata && new URL(lie.resourceMetadata(victim))
      await attempt(remote, undefined, at).catch(() => {})
      expect(remote.victim.requests).toEqual([])
      expect(new Set(remote.reached)).not.toContain(victim.host)
      if (!('resourceMetadata' in lie)) expect(remote.signatures).toEqual([])
    },
  )

  it('servers elsewhere are reached, so that the others would be noticed', async () => {
    const remote = await startRemote()
    await attempt(remote)
    expect(new Set(remote.reached)).toEqual(new Set(['mcp.example', 'as.example']))
    expect(remote.as.credentials.length).toBeGreaterThan(0)
  })
})

it('provider.fetch sends no request to this machine for a server elsewhere, even if the caller asks for it', async () => {
  const remote = await startRemote()
  const { fetch } = clientCredentialsProvider(settingsFor(remote))
  expect((await fetch(mcpUrl, { method: 'POST', body: '{"id":1,"method":"ping"}' })).ok).toBe(true)
  for (const path of ['/', '/.well-known/oauth-authorization-server']) {
    await expect(fetch(remote.victim.url + path)).rejects.toMatchObject({
      code: 'ERR_OAUTH_INSECURE_ENDPOINT',
    })
  }
  expect(remote.victim.requests).toEqual([])
})

describe.each(majors)('on SDK %s', (major) => {
  it('an authorization server on this machine is used where the caller pins it', async () => {
    const local = closing(await startScriptedAuthorizationServer())
    const remote = await startRemote({ authorizationServers: () => [] })
    await connecting({ major, way: 'fetch' })(remote, local.url)
    expect(local.credentials).toHaveLength(1)
  })

  it.each([
    ['to this machine is not followed, although redirects are', '/containers/create', 0],
    ['to its own machine is followed, so that the other would be noticed', undefined, 1],
  ])('a redirect of the MCP server %s', async (_where, path, times) => {
    const to =
      path === undefined ? () => 'https://as.example/mcp' : ({ origin }: URL) => origin + path
    const remote = await startRemote({ redirect: to })
    const { connection } = provide({ major, way: 'fetch' }, mcpUrl, settingsFor(remote))
    const following = { ...connection, redirectPolicy: 'follow' } as const
    await expect(connect(major, mcpUrl, following)).rejects.toThrow()
    expect(remote.victim.requests).toEqual([])
    expect(remote.as.requests.filter((request) => request.path === '/mcp')).toHaveLength(times)
  })

  it('a pin on this machine does not have the metadata of a server elsewhere read from there', async () => {
    const remote = await startRemote({ resourceMetadata: ({ origin }) => `${origin}/info` })
    const { victim } = remote
    await connecting({ major, way: 'fetch' })(remote, victim.url).catch(() => {})
    const at = new URL(`${victim.url}/info`)
    await ownFlow(major, true)(remote, victim.url, at).catch(() => {})
    expect(victim.requests.map(({ path }) => path)).not.toContain('/info')
  })
})

describe.each(majors)('an interactive client on SDK %s', (major) => {
  it('sends no user to sign in when the token endpoint is on this machine', async () => {
    const remote = await startRemote({
      metadata: ({ origin }) => ({ token_endpoint: `${origin}/token` }),
    })
    const interactive = new InteractiveProvider('agent')
    const authProvider = withClientAuthentication(interactive, privateKeyJwt(remote.signer))
    const connection = { authProvider, fetch: remote.remote as typeof fetch }
    await expect(connect(major, mcpUrl, connection)).rejects.toMatchObject({
      code: 'ERR_OAUTH_INSECURE_ENDPOINT',
    })
    expect(() => interactive.sentTo).toThrow('no user was sent to sign in')
  })
})
