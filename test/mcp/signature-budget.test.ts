import { clientCredentialsProvider, withClientAuthentication } from '@countersign/mcp'
import { privateKeyJwt } from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import { unauthorized } from '../servers/hostile-resource.js'
import { connect, majors, provide, ways } from './clients.ts'
import { closing, silenceWarnings } from './closing.ts'
import { InteractiveProvider } from './interactive-provider.ts'
import { answerAsMcp } from './scripted-mcp.ts'
import { startScriptedServers } from './scripted-servers.ts'

/** A resource that refuses every second of the requests that have a token. */
async function startAlternating() {
  let alternates = false
  let asked = 0
  const servers = await startScriptedServers({
    grant: () => ({ refresh_token: 'refresh' }),
    answer: (request, self) => {
      if (!alternates) return answerAsMcp(request)
      asked++
      return asked % 2 === 1 ? unauthorized(self) : answerAsMcp(request)
    },
  })
  return {
    ...servers,
    alternate() {
      alternates = true
      servers.spent()
    },
  }
}

/** How many tokens more may be requested since this time: budgets are also refilled by the monotonic clock. */
const refilled = (start: number) => Math.ceil((performance.now() - start) / 6000)

describe.each(ways)('on SDK $major through $way', (way) => {
  const signatures = way.way === 'OAuthClientProvider' ? 200 : 12

  it(`a resource that accepts every second request costs at most ${signatures} signatures in 300 calls`, async () => {
    const { resource, signer, alternate, spent } = await startAlternating()
    const authentication = privateKeyJwt(signer)
    const now = Date.now()
    const { connection } = provide(way, resource.url, {
      clientId: 'agent',
      authentication,
      now: () => now,
    })
    const client = closing(await connect(way.major, resource.url, connection))
    alternate()
    const start = performance.now()
    const failures: { readonly code?: string }[] = []
    for (let call = 0; call < 300; call++) {
      await client.call('any').catch((error) => failures.push(error))
    }
    expect(spent().signatures).toBeLessThanOrEqual(signatures + refilled(start))
    // An AuthProvider sends a ping after each 401, which is then the request that is accepted.
    if (way.way === 'AuthProvider') return
    const refused = failures.filter(({ code }) => code === 'ERR_OAUTH_TOKEN_REFUSED')
    expect(refused.length).toBeGreaterThan(10)
    expect(failures.length).toBeLessThan(290)
  })

  it('tokens that expire at once cost one signature in 50 calls', async () => {
    const { resource, signer, spent } = await startScriptedServers({
      grant: () => ({ expires_in: 0 }),
    })
    const authentication = privateKeyJwt(signer)
    const { connection } = provide(way, resource.url, { clientId: 'agent', authentication })
    const client = closing(await connect(way.major, resource.url, connection))
    for (let call = 0; call < 50; call++) expect(await client.call('any')).toBe('ok')
    expect(spent().signatures).toBe(1)
  })
})

describe.each(majors)('on SDK %s', (major) => {
  it('after the budget is spent, one more token is asked for every 6 s', async () => {
    const { signer, resource, accepted, streamAsked, spent } = await startScriptedServers()
    let now = Date.now()
    const authentication = privateKeyJwt(signer)
    const authProvider = clientCredentialsProvider({
      clientId: 'agent',
      authentication,
      serverUrl: resource.url,
      now: () => now,
    })
    const client = closing(await connect(major, resource.url, { authProvider }))
    await streamAsked()
    const refused = { code: 'ERR_OAUTH_TOKEN_REFUSED' }
    const renew = () => {
      accepted.clear()
      authProvider.invalidateCredentials('all')
      return client.call('any')
    }
    const start = performance.now()
    let failure: unknown
    for (let call = 0; failure === undefined && call < 300; call++) {
      await renew().catch((error: unknown) => {
        failure = error
      })
    }
    expect(failure).toMatchObject(refused)
    const signatures = spent().signatures
    expect(signatures).toBeGreaterThanOrEqual(200)
    expect(signatures).toBeLessThanOrEqual(200 + refilled(start))
    now += 7000
    expect(await renew()).toBe('ok')
    await expect(renew()).rejects.toMatchObject(refused)
  })
})

describe.each(majors)('an interactive client on SDK %s', (major) => {
  it('signs about 200 assertions at most for a resource that accepts every second request', async () => {
    silenceWarnings()
    const { resource, signer, alternate, spent } = await startAlternating()
    const interactive = new InteractiveProvider('agent')
    interactive.saveTokens({ access_token: 'old', token_type: 'bearer', refresh_token: 'refresh' })
    const authProvider = withClientAuthentication(interactive, privateKeyJwt(signer))
    const client = closing(await connect(major, resource.url, { authProvider }))
    alternate()
    for (let call = 0; call < 300; call++) await client.call('any').catch(() => {})
    // Some more for the seconds that the test itself takes.
    expect(spent().signatures).toBeLessThan(220)
  })
})
