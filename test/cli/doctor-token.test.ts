import { jwks, type Signer } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { describe, expect, test } from 'vitest'
import { startAuthorizationServer } from '../servers/authorization-server.js'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import { startPair } from '../servers/pair.js'
import { errorResponse } from '../servers/token-responses.js'
import { keyPair } from '../support/key-pairs.js'
import {
  clientId,
  closing,
  examine,
  failedStep,
  notOk,
  startDoctorFixtures,
  step,
} from './doctor-fixtures.ts'

const other = await localSigner({ key: keyPair('P-256', 1).privateKey })

describe('a setup without faults', () => {
  test.each(['v1', 'v2'] as const)(
    'has all ticks, to the tools of an MCP server of %s',
    async (sdk) => {
      const signer = await localSigner({ key: keyPair('P-256').privateKey })
      const client = { client_id: clientId, jwks: jwks(signer) }
      const method = { token_endpoint_auth_method: 'private_key_jwt' } as const
      const { mcpServer } = closing(await startPair({ ...client, ...method }, { sdk }))
      const steps = await examine(signer, { mcp: mcpServer.url })
      expect(notOk(steps)).toEqual([])
      expect(steps).toHaveLength(22)
      expect(step(steps, 'tools').found).toBe('2 listed: whoami, add')
    },
  )

  test('has all ticks to a token when there is an issuer alone, and asks for one token', async () => {
    const fixtures = await startDoctorFixtures()
    const steps = await fixtures.diagnose({ mcp: undefined, issuer: fixtures.as.url })
    expect(notOk(steps)).toEqual([])
    expect(steps.at(-1)?.found).toMatch(/^a Bearer token for \d+ s$/)
    expect(fixtures.tokenRequests()).toBe(1)
  })
})

describe('a clock 5 minutes off', () => {
  test.each([
    ['behind', 300],
    ['ahead', -300],
  ])(
    'is proven when ours is %s, by an assertion with the time of the server',
    async (where, aheadSeconds) => {
      const fixtures = await startDoctorFixtures({ as: { aheadSeconds } })
      const broken = failedStep(await fixtures.diagnose())
      expect(broken).toMatchObject({ name: 'clock', side: 'refused', candidates: ['clock'] })
      expect(broken.found).toMatch(`this clock is 5.0 min ${where}`)
      expect(broken.found).toMatch('accepted with the time of the server')
      expect(broken.remedy).toMatch(/^set the clock of this machine/)
      expect(fixtures.tokenRequests()).toBe(2)
    },
  )

  test('is found with oidc-provider when this clock is wrong', async () => {
    const signer = await localSigner({ key: keyPair('P-256').privateKey })
    const as = closing(await startAuthorizationServer({ clients: [registration(signer)] }))
    const offBy = (seconds: number) => () => Date.now() + seconds * 1000
    const behind = await examine(signer, { issuer: as.issuer, now: offBy(-300) })
    expect(failedStep(behind)).toMatchObject({ name: 'clock', candidates: ['clock'] })
    // It takes assertions that were issued in the future.
    const ahead = await examine(signer, { issuer: as.issuer, now: offBy(300) })
    expect(notOk(ahead)).toMatchObject([{ name: 'clock', state: 'warning' }])
  })

  test('is a warning beside another cause that stands when the clock is right', async () => {
    const fixtures = await startDoctorFixtures({ as: { aheadSeconds: 300 } })
    const steps = await fixtures.diagnose({ clientId: 'nobody' })
    expect(step(steps, 'clock')).toMatchObject({ state: 'warning' })
    const broken = failedStep(steps)
    expect(broken).toMatchObject({ name: 'token', candidates: ['client', 'key', 'algorithm'] })
    expect(broken.found).toMatch('refused also with the time of the server')
  })

  test('of hours leads to no assertion that is dated hours ahead', async () => {
    const fixtures = await startDoctorFixtures({ as: { aheadSeconds: 7200 } })
    const broken = failedStep(await fixtures.diagnose())
    expect(broken).toMatchObject({ name: 'clock' })
    expect(broken.candidates?.[0]).toBe('clock')
    expect(broken.found).toMatch('this clock is 120.0 min behind')
    expect(fixtures.tokenRequests()).toBe(1)
  })

  test('is a warning when the server accepts the assertion', async () => {
    const as = closing(await startScriptedAuthorizationServer({ now: () => Date.now() + 30_000 }))
    const steps = await examine(other, { issuer: as.url })
    expect(notOk(steps)).toMatchObject([{ name: 'clock', state: 'warning' }])
  })
})

describe('a client that is refused', () => {
  test.each([
    ['wrong client identifier', 'nobody', other],
    ['key that is not registered', clientId, other],
  ])('without a reason, for its %s, has every cause left named', async (_what, id, signer) => {
    const registered = await localSigner({ key: keyPair('P-256').privateKey })
    const as = closing(await startAuthorizationServer({ clients: [registration(registered)] }))
    const broken = failedStep(await examine(signer, { issuer: as.issuer, clientId: id }))
    expect(broken).toMatchObject({
      name: 'token',
      side: 'refused',
      code: 'ERR_OAUTH_RESPONSE',
      candidates: ['client', 'key', 'algorithm'],
    })
    expect(broken.found).toMatch('invalid_client: client authentication failed')
    expect(broken.remedy).toMatch(`the client "${id}" is registered at ${as.issuer}`)
    expect(broken.remedy).toMatch(`countersign jwks KEY; kid ${signer.kid}`)
    // The first assertion, and one for each thing that servers are known to want in another way.
    expect(as.counters.token).toBe(6)
    expect(broken.found).toMatch(
      `refused also with the audience "${as.issuer}/token", with typ JWT, with client_id in the body, with the kid`,
    )
  })

  test('with a reason, gets only the advice for it', async () => {
    const fixtures = await startDoctorFixtures({ as: { says: true } })
    const client = failedStep(await fixtures.diagnose({ clientId: 'nobody' }))
    expect(client).toMatchObject({ name: 'token', candidates: ['client'] })
    expect(client.remedy).toMatch(/^check that the client "nobody" is registered/)

    const key = failedStep(await examine(other, { mcp: fixtures.mcp.url }))
    expect(key).toMatchObject({ name: 'token', candidates: ['key'] })
    expect(key.remedy).toMatch(`register the public key (countersign jwks KEY; kid ${other.kid})`)
    // The client once, the key three times: its kid may be another one.
    expect(fixtures.tokenRequests()).toBe(4)

    const strict = { [clientId]: { keys: [...jwks(fixtures.signer).keys], alg: 'PS256' } }
    const pss = await startDoctorFixtures({ as: { says: true, clients: strict } })
    const algorithm = failedStep(await pss.diagnose())
    expect(algorithm).toMatchObject({ name: 'token', candidates: ['algorithm'] })
    expect(algorithm.remedy).toMatch(/^register ES256 as the client's/)
  })

  test.each([true, false])(
    'for the audience of its assertion is told the right one (says why: %s)',
    async (says) => {
      const fixtures = await startDoctorFixtures({ as: { audience: 'token endpoint', says } })
      const broken = failedStep(await fixtures.diagnose())
      expect(broken).toMatchObject({ name: 'token', candidates: ['audience'] })
      expect(broken.found).toMatch(`accepted with the audience "${fixtures.as.url}/token"`)
      expect(broken.remedy).toBe(
        "give --audience token_endpoint; in code: privateKeyJwt(signer, { audience: 'token_endpoint' })",
      )
      expect(fixtures.tokenRequests()).toBe(2)

      for (const audience of ['token_endpoint', `${fixtures.as.url}/token`]) {
        expect(notOk(await fixtures.diagnose({ assertion: { audience } }))).toEqual([])
      }
    },
  )
})

describe('a client that is authenticated and gets no token', () => {
  test.each([
    ['unauthorized_client', /^allow the grant client_credentials/],
    ['unsupported_grant_type', /^enable the grant/],
    ['invalid_scope', /^request a scope/],
    ['invalid_target', /^register the resource/],
    ['access_denied', /^change the policy/],
    ['never_heard_of', /^look up the error/],
  ])('for %s is told what to change, after one request', async (error, remedy) => {
    const fixtures = await startDoctorFixtures({ as: { refuse: () => errorResponse(error) } })
    const broken = failedStep(await fixtures.diagnose())
    expect(broken).toMatchObject({ name: 'token', code: 'ERR_OAUTH_RESPONSE', side: 'refused' })
    expect(broken.candidates).toBeUndefined()
    expect(broken.found).toMatch(error)
    expect(broken.remedy).toMatch(remedy)
    expect(fixtures.tokenRequests()).toBe(1)
  })

  test('from a token endpoint that fails is told so, as a network failure', async () => {
    const refuse = () => errorResponse('server_error', { status: 503 })
    const fixtures = await startDoctorFixtures({ as: { refuse } })
    expect(failedStep(await fixtures.diagnose())).toMatchObject({
      name: 'token',
      code: 'ERR_OAUTH_UNAVAILABLE',
      side: 'network',
    })
  })

  test('and one that gets less scope than it asked for, is told which is missing', async () => {
    const { signer, mcpServer } = await startRegisteredPair()
    const steps = await examine(signer, { mcp: mcpServer.url, scope: 'nonsense' })
    expect(notOk(steps)).toMatchObject([{ name: 'token', state: 'warning' }])
    expect(step(steps, 'token').found).toMatch('scope "tools", without "nonsense"')
  })
})

/** A key, and servers of others that know it. */
async function startRegisteredPair(sdk?: 'v1' | 'v2') {
  const signer = await localSigner({ key: keyPair('P-256').privateKey })
  return { signer, ...closing(await startPair(registration(signer), { sdk })) }
}

const registration = (signer: Signer) => ({
  client_id: clientId,
  token_endpoint_auth_method: 'private_key_jwt' as const,
  jwks: jwks(signer),
})
