import { localSigner } from '@countersign/local'
import { describe, expect, test } from 'vitest'
import {
  PLAIN_HTTP_TOKEN_ENDPOINT,
  startAcceptingOnly,
  startIssuerMixUp,
  startIssuerThief,
  startPlainHttpTokenEndpoint,
  startScriptedAuthorizationServer,
  startWithoutMetadata,
  startWithoutPrivateKeyJwt,
} from '../servers/hostile-authorization-server.js'
import { startScriptedResource, unauthorized } from '../servers/hostile-resource.js'
import { startScriptedServer } from '../servers/scripted-server.js'
import { hang, htmlBadGateway } from '../servers/token-responses.js'
import { watchConnections } from '../support/connections.js'
import { keyPair } from '../support/key-pairs.js'
import {
  closing,
  examine,
  failedStep,
  notOk,
  startDoctorFixtures,
  step,
} from './doctor-fixtures.ts'

const signer = await localSigner({ key: keyPair('P-256').privateKey })
const ed25519 = await localSigner({ key: keyPair('Ed25519').privateKey })

const startResource = async (options: Parameters<typeof startScriptedResource>[0]) =>
  closing(await startScriptedResource(options))

/** An MCP server that names an authorization server. */
const naming = async (issuer: string) =>
  (await startResource({ authorizationServers: [issuer] })).url

describe('an authorization server', () => {
  test.each([
    ['of another issuer than its metadata names', startIssuerMixUp, 'ERR_OAUTH_ISSUER_MISMATCH'],
    [
      'that claims to be another one',
      () => startIssuerThief('https://as.example'),
      'ERR_OAUTH_ISSUER_MISMATCH',
    ],
  ])('%s fails the step "issuer", with nothing signed for it', async (_what, start, code) => {
    const as = closing(await start())
    const broken = failedStep(await examine(signer, { mcp: await naming(as.url) }))
    expect(broken).toMatchObject({ name: 'issuer', side: 'refused', code })
    expect(broken.found).toMatch(`but "${as.url}" was expected`)
    expect(broken.remedy).toMatch(/exactly as the authorization server states it/)
    expect(as.credentials).toEqual([])
  })

  test('of plain http off loopback fails the step "https", and is not connected to', async () => {
    const watch = watchConnections()
    try {
      for (const options of [
        { mcp: await naming('http://as.example') },
        { issuer: 'http://as.example' },
      ]) {
        const broken = failedStep(await examine(signer, options))
        expect(broken).toMatchObject({ name: 'https', code: 'ERR_OAUTH_INSECURE_ENDPOINT' })
        expect(broken.found).toMatch('http://as.example is neither https nor on loopback')
        expect(broken.remedy).toMatch(/^use https/)
      }
      expect(watch.abroad()).toEqual([])
    } finally {
      watch.stop()
    }
  })

  test('whose token endpoint is plain http fails that step, with nothing sent to it', async () => {
    const as = closing(await startPlainHttpTokenEndpoint())
    const broken = failedStep(await examine(signer, { issuer: as.url }))
    expect(broken).toMatchObject({ name: 'token endpoint', code: 'ERR_OAUTH_INSECURE_ENDPOINT' })
    expect(broken.found).toMatch(new URL(PLAIN_HTTP_TOKEN_ENDPOINT).origin)
  })

  test('without private_key_jwt fails the step "authentication method"', async () => {
    const as = closing(await startWithoutPrivateKeyJwt())
    const broken = failedStep(await examine(signer, { issuer: as.url }))
    expect(broken).toMatchObject({
      name: 'authentication method',
      code: 'ERR_OAUTH_METHOD_NOT_ADVERTISED',
      remedy: 'enable private_key_jwt at the authorization server',
    })
    expect(broken.found).toMatch('["client_secret_basic"]')
    expect(as.credentials).toEqual([])
  })

  test('without the algorithm fails the step "signing algorithm", and lists its own', async () => {
    const as = closing(await startAcceptingOnly(['RS256', 'EdDSA']))
    const broken = failedStep(await examine(signer, { issuer: as.url }))
    expect(broken).toMatchObject({
      name: 'signing algorithm',
      code: 'ERR_OAUTH_ALG_NOT_ADVERTISED',
    })
    expect(broken.found).toMatch('does not list ES256')
    expect(broken.found).toMatch('["RS256","EdDSA"]')
    expect(as.credentials).toEqual([])
    expect(notOk(await examine(ed25519, { issuer: as.url }))).toEqual([])
  })

  test('that lists neither algorithms nor grants is warned of, and used', async () => {
    const as = closing(
      await startScriptedAuthorizationServer({
        metadata: {
          token_endpoint_auth_signing_alg_values_supported: undefined,
          grant_types_supported: undefined,
        },
      }),
    )
    const odd = notOk(await examine(signer, { issuer: as.url }))
    expect(odd.map(({ name, state }) => [name, state])).toEqual([
      ['signing algorithm', 'warning'],
      ['grant', 'warning'],
    ])
  })

  test('that lists other grants is warned of, since the library asks all the same', async () => {
    const metadata = { grant_types_supported: ['authorization_code'] }
    const as = closing(await startScriptedAuthorizationServer({ metadata }))
    const [grant, ...more] = notOk(await examine(signer, { issuer: as.url }))
    expect(grant).toMatchObject({ name: 'grant', state: 'warning' })
    expect(grant?.found).toBe('it lists ["authorization_code"]')
    expect(more).toEqual([])
  })

  test('without metadata fails the step "server metadata"', async () => {
    const as = closing(await startWithoutMetadata())
    const broken = failedStep(await examine(signer, { issuer: as.url }))
    expect(broken).toMatchObject({ name: 'server metadata', code: 'ERR_OAUTH_DISCOVERY' })
  })

  test('that is down fails the step "server metadata", as a network failure', async () => {
    const as = await startScriptedAuthorizationServer()
    const mcp = await naming(as.url)
    await as.close()
    const broken = failedStep(await examine(signer, { mcp }))
    expect(broken).toMatchObject({
      name: 'server metadata',
      code: 'ERR_OAUTH_UNAVAILABLE',
      side: 'network',
    })
    expect(broken.found).toMatch(
      /^The .+ cannot be reached: nothing listens there \(ECONNREFUSED\)/,
    )
    expect(broken.found).not.toMatch(/reached.*reached/)
    expect(broken.remedy).toMatch(/^check that the server runs/)
  })

  test('that does not answer fails after the timeout', async () => {
    const as = closing(await startScriptedServer(() => hang))
    const start = performance.now()
    const broken = failedStep(await examine(signer, { issuer: as.url, timeoutSeconds: 0.3 }))
    expect(performance.now() - start).toBeLessThan(3000)
    expect(broken).toMatchObject({
      name: 'server metadata',
      code: 'ERR_OAUTH_TIMEOUT',
      side: 'network',
    })
  })
})

describe('an MCP server', () => {
  test('that is down fails the step "mcp server", as a network failure', async () => {
    const fixtures = await startDoctorFixtures()
    await fixtures.mcp.close()
    const broken = failedStep(await fixtures.diagnose())
    expect(broken).toMatchObject({ name: 'mcp server', side: 'network' })
    expect(broken.found).toMatch(
      /^The .+ cannot be reached: nothing listens there \(ECONNREFUSED\)/,
    )
    expect(broken.found).not.toMatch(/reached.*reached/)
    expect(fixtures.tokenRequests()).toBe(0)
  })

  test.each([
    ['404', () => new Response(null, { status: 404 }), 'refused', /^give the URL of the MCP/],
    [
      'a redirection',
      () => new Response(null, { status: 307, headers: { location: '/mcp/' } }),
      'refused',
      /^give the URL of the MCP/,
    ],
    ['502', htmlBadGateway, 'network', /logs of the MCP server/],
  ] as const)('that answers %s fails that step', async (_what, answer, side, remedy) => {
    const { url } = await startResource({ authorizationServers: [], answer })
    const broken = failedStep(await examine(signer, { mcp: url }))
    expect(broken).toMatchObject({ name: 'mcp server', side })
    expect(broken.remedy).toMatch(remedy)
  })

  test('of plain http off loopback is not connected to', async () => {
    const watch = watchConnections()
    try {
      const broken = failedStep(await examine(signer, { mcp: 'http://mcp.example/mcp' }))
      expect(broken).toMatchObject({ name: 'mcp server', code: 'ERR_OAUTH_INSECURE_ENDPOINT' })
      expect(watch.abroad()).toEqual([])
    } finally {
      watch.stop()
    }
  })

  test('whose metadata is of another resource fails the step "resource"', async () => {
    const as = closing(await startScriptedAuthorizationServer())
    const { url } = await startResource({
      authorizationServers: [as.url],
      resource: 'https://mcp.example/mcp',
    })
    const steps = await examine(signer, { mcp: url })
    expect(step(steps, 'resource metadata').state).toBe('ok')
    const broken = failedStep(steps)
    expect(broken).toMatchObject({ name: 'resource', code: 'ERR_OAUTH_RESOURCE_MISMATCH' })
    expect(broken.found).toMatch(/"https:\/\/mcp\.example\/mcp", which does not cover http:/)
    expect(broken.remedy).toMatch(/^use the URL that the metadata names/)
    expect(as.requests).toEqual([])
  })

  test('that names other authorization servers than the given one fails that step', async () => {
    const fixtures = await startDoctorFixtures()
    const broken = failedStep(await fixtures.diagnose({ issuer: 'https://as.example' }))
    expect(broken).toMatchObject({
      name: 'authorization server',
      code: 'ERR_OAUTH_ISSUER_MISMATCH',
      side: 'refused',
    })
    expect(broken.found).toMatch(`names ["${fixtures.as.url}"], and not "https://as.example"`)
    expect(fixtures.tokenRequests()).toBe(0)
  })

  test('without metadata fails unless an issuer is given', async () => {
    const as = closing(await startScriptedAuthorizationServer())
    const { url } = closing(await startScriptedServer(() => new Response(null, { status: 401 })))
    const mcp = `${url}/mcp`
    const answer = failedStep(await examine(signer, { mcp: url }))
    expect(answer).toMatchObject({ name: 'resource metadata', code: 'ERR_OAUTH_DISCOVERY' })
    expect(answer.remedy).toMatch(/give the issuer with --issuer/)

    const steps = await examine(signer, { mcp, issuer: as.url })
    expect(step(steps, 'resource metadata').state).toBe('warning')
    expect(step(steps, 'resource').found).toBe(`${mcp}, because there is no metadata`)
    expect(step(steps, 'token').state).toBe('ok')
  })

  test('whose 401 has no challenge is warned of, and its well-known location is tried', async () => {
    const as = closing(await startScriptedAuthorizationServer())
    const { url } = await startResource({
      authorizationServers: [as.url],
      answer: (_request, self) => {
        const { status } = unauthorized(self)
        return new Response(null, { status })
      },
    })
    const steps = await examine(signer, { mcp: url })
    expect(step(steps, 'mcp server').state).toBe('warning')
    expect(step(steps, 'resource metadata').found).toBe('at its well-known location')
  })
})
