import { jwks } from '@countersign/core'
import { clientCredentialsProvider } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import { startScriptedResource } from '../servers/hostile-resource.js'
import { errorResponse } from '../servers/token-responses.js'
import { connect, majors } from './clients.ts'
import { closing, silenceWarnings } from './closing.ts'
import { newSigner, startLine } from './line.ts'

describe.each(majors)('a client that is refused on SDK %s', (major) => {
  async function refused(withFetch: boolean) {
    silenceWarnings()
    const { signer, as, mcp, spent } = await startLine({
      client: { jwks: jwks(await newSigner()) },
    })
    const authentication = privateKeyJwt(signer)
    const provider = clientCredentialsProvider({ clientId: 'agent', authentication })
    const fetch = withFetch ? provider.fetch : undefined
    const error: unknown = await connect(major, mcp.url, { authProvider: provider, fetch }).catch(
      (error: unknown) => error,
    )
    const { issuer, tokenRequests } = as
    const jtis = tokenRequests.map(({ assertion }) => assertion?.claims.jti)
    return { error, issuer, jtis, cost: spent() }
  }

  it('costs one signature with provider.fetch, and learns the server’s words', async () => {
    const { error, cost } = await refused(true)
    expect(error).toMatchObject({
      name: 'OAuthError',
      code: 'ERR_OAUTH_RESPONSE',
      error: 'invalid_client',
      error_description: 'client authentication failed',
      status: 401,
    })
    expect(cost).toMatchObject({ signatures: 1, tokenRequests: 1 })
  })

  it('costs two without it, since the SDK tries once more, and each assertion is another', async () => {
    const { error, cost, jtis } = await refused(false)
    expect(error).toMatchObject({ message: 'client authentication failed' })
    expect(cost).toMatchObject({ signatures: 2, tokenRequests: 2 })
    expect(new Set(jtis).size).toBe(2)
  })

  it('is not refused anew for each call while the server’s answer is fresh', async () => {
    const as = closing(
      await startScriptedAuthorizationServer({
        token: () => errorResponse('invalid_client', { status: 401, description: 'who are you?' }),
      }),
    )
    const resource = closing(await startScriptedResource({ authorizationServers: [as.url] }))
    const authentication = privateKeyJwt(await newSigner())
    const provider = clientCredentialsProvider({ clientId: 'agent', authentication })
    const connection = { authProvider: provider, fetch: provider.fetch }
    for (let call = 0; call < 20; call++) {
      await expect(connect(major, resource.url, connection)).rejects.toMatchObject({
        error: 'invalid_client',
        error_description: 'who are you?',
      })
    }
    expect(as.credentials.length).toBeLessThan(6)
  })
})
