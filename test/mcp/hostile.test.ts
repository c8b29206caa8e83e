import { type ClientCredentialsProviderOptions, clientCredentialsProvider } from '@countersign/mcp'
import { clientSecretBasic, type OAuthErrorCode, privateKeyJwt } from '@countersign/oauth'
import { PrivateKeyJwtProvider as ProviderOfV1 } from '@modelcontextprotocol/sdk/client/auth-extensions.js'
import { exportJWK, exportPKCS8, generateKeyPair } from 'jose'
import { describe, expect, it } from 'vitest'
import {
  startAcceptingOnly,
  startIssuerMixUp,
  startIssuerThief,
  startPlainHttpTokenEndpoint,
  startScriptedAuthorizationServer,
  startSilentAboutAuthentication,
  startWithoutMetadata,
  startWithoutPrivateKeyJwt,
} from '../servers/hostile-authorization-server.js'
import { startScriptedResource } from '../servers/hostile-resource.js'
import { type ScriptedServer, startScriptedServer } from '../servers/scripted-server.js'
import { hang, redirect } from '../servers/token-responses.js'
import { connect, majors, type ProviderOfBoth, provide, ways } from './clients.ts'
import { closing, silenceWarnings } from './closing.ts'
import { answerAsMcp } from './scripted-mcp.ts'
import { startScriptedServers } from './scripted-servers.ts'
import { newSigner, startServers } from './servers.ts'
import { signaturesOf } from './signatures.ts'

interface Lie {
  /** Starts the server that the resource names. */
  readonly start: () => Promise<ScriptedServer>
  readonly options?: Partial<ClientCredentialsProviderOptions>
  readonly code: OAuthErrorCode
}

const lies: Readonly<Record<string, Lie>> = {
  'claims another server’s issuer': {
    start: () => startIssuerThief('https://honest.example'),
    code: 'ERR_OAUTH_ISSUER_MISMATCH',
  },
  'claims the very issuer that is pinned': {
    start: () => startIssuerThief('https://honest.example'),
    options: { issuer: 'https://honest.example' },
    code: 'ERR_OAUTH_ISSUER_MISMATCH',
  },
  'is asked as one issuer and answers as another': {
    start: startIssuerMixUp,
    code: 'ERR_OAUTH_ISSUER_MISMATCH',
  },
  'is honest, and not the pinned one': {
    start: () => startScriptedAuthorizationServer(),
    options: { issuer: 'https://honest.example' },
    code: 'ERR_OAUTH_ISSUER_MISMATCH',
  },
  'has a token endpoint on plain http': {
    start: startPlainHttpTokenEndpoint,
    code: 'ERR_OAUTH_INSECURE_ENDPOINT',
  },
  'does not admit private_key_jwt': {
    start: startWithoutPrivateKeyJwt,
    code: 'ERR_OAUTH_METHOD_NOT_ADVERTISED',
  },
  'does not say which methods it admits': {
    start: startSilentAboutAuthentication,
    code: 'ERR_OAUTH_METHOD_NOT_ADVERTISED',
  },
  'does not admit ES256': {
    start: () => startAcceptingOnly(['RS256', 'PS256']),
    code: 'ERR_OAUTH_ALG_NOT_ADVERTISED',
  },
  'publishes no metadata': {
    start: () => startWithoutMetadata(),
    code: 'ERR_OAUTH_DISCOVERY',
  },
  'has its metadata elsewhere': {
    start: async () => {
      const other = closing(await startScriptedAuthorizationServer())
      return startScriptedServer(({ path }) => redirect(`${other.url}${path}`, 302))
    },
    code: 'ERR_OAUTH_DISCOVERY',
  },
}

describe.each(ways)('on SDK $major through $way', (way) => {
  const { major } = way
  const connectWith = (url: string, options: ClientCredentialsProviderOptions) =>
    connect(major, url, provide(way, url, options).connection)

  it.each(Object.entries(lies))(
    'nothing is signed for an authorization server that %s',
    async (_lie, { start, options, code }) => {
      const liar = closing(await start())
      const resource = closing(await startScriptedResource({ authorizationServers: [liar.url] }))
      const signer = await newSigner()
      const signatures = signaturesOf(signer.kid)
      const authentication = privateKeyJwt(signer)
      const error = await connectWith(resource.url, {
        clientId: 'agent',
        authentication,
        ...options,
      }).then(
        () => undefined,
        (error: unknown) => error,
      )
      expect(error).toMatchObject({ name: 'OAuthError', code })
      expect(signatures).toEqual([])
      expect(liar.credentials).toEqual([])
      expect(resource.credentials).toEqual([])
    },
  )

  it('no secret goes to an authorization server that claims another one’s issuer', async () => {
    const liar = closing(await startIssuerThief('https://honest.example'))
    const resource = closing(await startScriptedResource({ authorizationServers: [liar.url] }))
    const authentication = clientSecretBasic('s3cret')
    await expect(connectWith(resource.url, { clientId: 'agent', authentication })).rejects.toThrow()
    expect(liar.credentials).toEqual([])
  })

  it('nothing is signed for an issuer on plain http, whatever its endpoint is', async () => {
    const as = closing(
      await startScriptedAuthorizationServer({ metadata: { issuer: 'http://as.example' } }),
    )
    const resource = closing(
      await startScriptedResource({ authorizationServers: ['http://as.example'] }),
    )
    const signer = await newSigner()
    const signatures = signaturesOf(signer.kid)
    const refused = connectWith(resource.url, {
      clientId: 'agent',
      authentication: privateKeyJwt(signer),
      // As if the name led to the server.
      fetch: (input, init) => fetch(String(input).replace('http://as.example', as.url), init),
    })
    await expect(refused).rejects.toMatchObject({ code: 'ERR_OAUTH_INSECURE_ENDPOINT' })
    expect(signatures).toEqual([])
    expect(as.credentials).toEqual([])
  })

  it('nothing is signed for a resource on plain http', async () => {
    const { as, resource, signer, signatures } = await startScriptedServers()
    const claimed = 'http://mcp.example/mcp'
    const refused = connectWith(claimed, {
      clientId: 'agent',
      authentication: privateKeyJwt(signer),
      async fetch(input, init) {
        const response = await fetch(
          String(input).replace('http://mcp.example', new URL(resource.url).origin),
          init,
        )
        const body = (await response.text()).replaceAll(resource.url, claimed)
        const { status } = response
        return new Response(body, { status, headers: { 'content-type': 'application/json' } })
      },
    })
    await expect(refused).rejects.toMatchObject({ code: 'ERR_OAUTH_INSECURE_ENDPOINT' })
    expect(signatures).toEqual([])
    expect(as.credentials).toEqual([])
  })

  it.each([
    ['on another host', () => 'https://victim.example/mcp'],
    ['on another port', () => 'http://127.0.0.1:1/mcp'],
    ['its neighbour', (own: string) => own.replace('/mcp', '/mc')],
    ['the one below it', (own: string) => `${own}/admin`],
  ])('nothing is signed for a resource that claims to be %s', async (_which, claimed) => {
    const { as, resource, claims, signer, signatures } = await startScriptedServers()
    claims.resource = claimed(resource.url)
    const authentication = privateKeyJwt(signer)
    const error: unknown = await connectWith(resource.url, {
      clientId: 'agent',
      authentication,
    }).catch((error: unknown) => error)
    expect(error).toMatchObject({ name: 'OAuthError', code: 'ERR_OAUTH_RESOURCE_MISMATCH' })
    expect(signatures).toEqual([])
    expect(as.credentials).toEqual([])
  })

  it('the caller of a tool gets the error for a resource that lies in a later discovery', async () => {
    const { resource, claims, accepted, signer, spent } = await startScriptedServers()
    const thief = closing(await startIssuerThief('https://honest.example'))
    const { provider, connection } = provide(way, resource.url, {
      clientId: 'agent',
      authentication: privateKeyJwt(signer),
    })
    const client = closing(await connect(major, resource.url, connection))
    expect(await client.call('any')).toBe('ok')
    spent()
    accepted.clear()
    provider.invalidateCredentials('all')
    claims.authorizationServers = [thief.url]
    const error: unknown = await client.call('any').catch((error: unknown) => error)
    expect(error).toMatchObject({ code: 'ERR_OAUTH_ISSUER_MISMATCH' })
    expect(thief.credentials).toEqual([])
    expect(spent()).toMatchObject({ signatures: 0, tokenRequests: 0 })
  })

  it('a resource that changes what it says between requests gets no token for another one', async () => {
    const { as, resource, claims, accepted, signer } = await startScriptedServers()
    const other = closing(await startScriptedAuthorizationServer())
    let asked = 0
    const turn = <T>(...values: readonly T[]): T | undefined => values[asked++ % values.length]
    const own = resource.url
    Object.defineProperties(claims, {
      resource: { get: () => turn(own, 'https://victim.example/mcp', new URL(own).origin) },
      authorizationServers: { get: () => [turn(as.url, other.url, as.url)] },
    })
    let passed = 0
    const { provider, connection } = provide(way, own, {
      clientId: 'agent',
      authentication: privateKeyJwt(signer),
      now: () => Date.now() + passed,
    })
    for (let round = 0; round < 6; round++) {
      const clients = await Promise.allSettled(
        Array.from({ length: 6 }, () => connect(major, own, connection).then(closing)),
      )
      accepted.clear()
      provider.invalidateCredentials('all')
      await Promise.allSettled(
        clients.flatMap((client) =>
          client.status === 'fulfilled'
            ? Array.from({ length: 5 }, () => client.value.call('any'))
            : [],
        ),
      )
      passed += 100_000
    }
    const sent = (server: ScriptedServer) =>
      server.requests.filter(({ path }) => path === '/token').map(({ form }) => form)
    const audiences = (server: ScriptedServer) =>
      new Set(sent(server).map((form) => audienceOf(form.get('client_assertion') ?? '')))
    expect(sent(as).length).toBeGreaterThan(0)
    for (const form of [...sent(as), ...sent(other)]) {
      expect([own, new URL(own).origin]).toContain(form.get('resource'))
    }
    expect(audiences(as)).toEqual(new Set([as.url]))
    if (sent(other).length > 0) expect(audiences(other)).toEqual(new Set([other.url]))
  })
})

describe.each(majors)('on SDK %s', (major) => {
  it('the token is not sent along a redirect, neither to another path nor to another host', async () => {
    const elsewhere = closing(await startScriptedServer(() => new Response(null, { status: 404 })))
    let lead: string | undefined
    const { resource, signer } = await startScriptedServers({
      answer: (request) => (lead === undefined ? answerAsMcp(request) : redirect(lead)),
    })
    for (const redirectPolicy of ['same-origin', 'follow'] as const) {
      lead = undefined
      const provider = clientCredentialsProvider({
        clientId: 'agent',
        authentication: privateKeyJwt(signer),
      })
      const connection = { fetch: provider.fetch, redirectPolicy }
      const client = closing(await connect(major, resource.url, connection))
      expect(await client.call('any')).toBe('ok')
      for (lead of ['/neighbour', elsewhere.url]) {
        await expect(client.call('any')).rejects.toThrow()
      }
    }
    const neighbour = resource.requests.filter(({ path }) => path === '/neighbour')
    expect(neighbour.length).toBeGreaterThan(0)
    expect(neighbour.flatMap(({ headers }) => headers.authorization ?? [])).toEqual([])
    expect(elsewhere.credentials).toEqual([])
  })

  it.each([
    ['the metadata of the resource', 'oauth-protected-resource'],
    ['the metadata of the authorization server', 'oauth-authorization-server'],
    ['the answer of the token endpoint', '/token'],
  ])('%s is not awaited for longer than the timeout', async (_what, path) => {
    const server: ScriptedServer = closing(
      await startScriptedServer((request) => {
        if (request.path.includes(path)) return hang
        if (request.path.includes('oauth-protected-resource')) {
          const { url } = server
          return Response.json({ resource: `${url}/mcp`, authorization_servers: [url] })
        }
        if (request.path.includes('oauth-authorization-server')) {
          return Response.json(metadataOf(server.url))
        }
        return new Response(null, { status: 401 })
      }),
    )
    const provider = clientCredentialsProvider({
      clientId: 'agent',
      authentication: privateKeyJwt(await newSigner()),
      timeoutSeconds: 0.2,
    })
    const connection = { fetch: provider.fetch }
    await expect(connect(major, `${server.url}/mcp`, connection)).rejects.toMatchObject({
      code: 'ERR_OAUTH_TIMEOUT',
    })
  })

  it('a resource that does not answer is not awaited for longer than the timeout', async () => {
    const server = closing(await startScriptedServer(() => hang))
    const provider = clientCredentialsProvider({
      clientId: 'agent',
      authentication: privateKeyJwt(await newSigner()),
      serverUrl: server.url,
      timeoutSeconds: 0.2,
    })
    const timedOut = { code: 'ERR_OAUTH_TIMEOUT' }
    const connecting = connect(major, server.url, { authProvider: provider })
    await expect(connecting).rejects.toMatchObject(timedOut)
    await expect(provider.discoveryState()).rejects.toMatchObject(timedOut)
    const serverUrl = new URL(server.url)
    await expect(provider.authProvider.onUnauthorized({ serverUrl })).rejects.toMatchObject(
      timedOut,
    )
  })

  it('a resource that refuses every token causes at most two signatures', async () => {
    const { resource, signer, spent } = await startScriptedServers({
      // A token of another name than the resource accepts.
      grant: (number) => ({ access_token: `refused-${number}` }),
    })
    const provider = clientCredentialsProvider({
      clientId: 'agent',
      authentication: privateKeyJwt(signer),
    })
    const attempt = () =>
      connect(major, resource.url, { fetch: provider.fetch }).catch((error: unknown) => error)
    const error = await attempt()
    expect(error).toMatchObject({ code: 'ERR_OAUTH_TOKEN_REFUSED', status: 401 })
    expect(spent().signatures).toBeLessThanOrEqual(2)
    for (let call = 0; call < 10; call++) await attempt()
    expect(spent().signatures).toBeLessThanOrEqual(2)
  })

  it('a resource that asks for more scope each time causes at most four signatures', async () => {
    let wanted = 0
    const { resource, signer, spent } = await startScriptedServers({
      answer: (_request, self) => {
        wanted++
        return new Response(null, {
          status: 403,
          headers: {
            'www-authenticate': `Bearer error="insufficient_scope", scope="scope-${wanted}", resource_metadata="${self.resourceMetadataUrl}"`,
          },
        })
      },
    })
    const provider = clientCredentialsProvider({
      clientId: 'agent',
      authentication: privateKeyJwt(signer),
    })
    const attempt = () =>
      connect(major, resource.url, { fetch: provider.fetch }).catch((error: unknown) => error)
    for (let call = 0; call < 10; call++) await attempt()
    const { signatures } = spent()
    expect(signatures).toBeGreaterThan(0)
    expect(signatures).toBeLessThanOrEqual(4)
  })
})

describe('with the SDK’s own provider on v1', () => {
  it('the same thief does get an assertion, and an honest server accepts it', async () => {
    silenceWarnings()
    const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true })
    const { as } = await startServers()
    await as.registerClient({
      client_id: 'agent',
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: { keys: [await exportJWK(publicKey)] },
    })
    const thief = closing(await startIssuerThief(as.issuer))
    const resource = closing(await startScriptedResource({ authorizationServers: [thief.url] }))
    const authProvider = new ProviderOfV1({
      clientId: 'agent',
      algorithm: 'ES256',
      privateKey: await exportPKCS8(privateKey),
    }) as ProviderOfBoth
    await connect('v1', resource.url, { authProvider }).catch(() => {})
    const [stolen = ''] = thief.credentials
    expect(audienceOf(stolen)).toBe(as.issuer)
    const body = new URLSearchParams({
      grant_type: 'client_credentials',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion: stolen,
    })
    const response = await fetch(as.metadata.token_endpoint, { method: 'POST', body })
    expect(response.status).toBe(200)
  })
})

function audienceOf(assertion: string): unknown {
  const [, claims = ''] = assertion.split('.')
  return JSON.parse(Buffer.from(claims, 'base64url').toString()).aud
}

function metadataOf(issuer: string) {
  return {
    issuer,
    authorization_endpoint: `${issuer}/authorize`,
    token_endpoint: `${issuer}/token`,
    response_types_supported: ['code'],
    token_endpoint_auth_methods_supported: ['private_key_jwt'],
  }
}
