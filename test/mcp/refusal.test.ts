import { jwks } from '@countersign/core'
import { clientCredentialsProvider } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import { startScriptedResource } from '../servers/hostile-resource.js'
import { errorResponse } from '../servers/token-responses.js'
import { authorize, connect, majors, provide, ways } from './clients.ts'
import { closing, silenceWarnings } from './closing.ts'
import { newSigner, startServers } from './servers.ts'

/** Servers whose authorization server knows the client by another key. */
async function startRefusingServers() {
  silenceWarnings()
  return startServers({ client: { jwks: jwks(await newSigner()) } })
}

describe.each(ways)('a client that is refused on SDK $major through $way', (way) => {
  it('costs one signature, and gets the server’s error', async () => {
    const { signer, mcp, spent } = await startRefusingServers()
    const authentication = privateKeyJwt(signer)
    const { connection } = provide(way, mcp.url, { clientId: 'agent', authentication })
    const error: unknown = await connect(way.major, mcp.url, connection).catch(
      (error: unknown) => error,
    )
    const cost = spent()
    expect(error).toMatchObject({
      name: 'OAuthError',
      code: 'ERR_OAUTH_RESPONSE',
      error: 'invalid_client',
      error_description: 'client authentication failed',
      status: 401,
    })
    expect(cost).toMatchObject({ signatures: 1, tokenRequests: 1 })
  })
})

describe.each(majors)('a client that is refused on SDK %s', (major) => {
  it('costs two signatures in the SDK’s own flow, which runs again, and each assertion is new', async () => {
    const { signer, as, mcp, spent } = await startRefusingServers()
    const authentication = privateKeyJwt(signer)
    const settings = { clientId: 'agent', authentication, serverUrl: mcp.url }
    const flow = authorize(major, clientCredentialsProvider(settings), {
      serverUrl: mcp.url,
      fetchFn: fetch,
    })
    await expect(flow).rejects.toMatchObject({ message: 'client authentication failed' })
    const jtis = as.tokenRequests.map(({ assertion }) => assertion?.claims.jti)
    expect(spent()).toMatchObject({ signatures: 2, tokenRequests: 2 })
    expect(new Set(jtis).size).toBe(2)
  })

  it('is not refused again for each call while the server’s answer is fresh', async () => {
    const as = closing(
      await startScriptedAuthorizationServer({
        token: () => errorResponse('invalid_client', { status: 401, description: 'who are you?' }),
      }),
    )
    const resource = closing(await startScriptedResource({ authorizationServers: [as.url] }))
    const authentication = privateKeyJwt(await newSigner())
    const provider = clientCredentialsProvider({ clientId: 'agent', authentication })
    const connection = { fetch: provider.fetch }
    for (let call = 0; call < 20; call++) {
      await expect(connect(major, resource.url, connection)).rejects.toMatchObject({
        error: 'invalid_client',
        error_description: 'who are you?',
      })
    }
    expect(as.credentials.length).toBeLessThan(6)
  })
})
