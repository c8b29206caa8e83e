import { localSigner } from '@countersign/local'
import { describe, expect, test } from 'vitest'
import { answerAsMcp, bearer } from '../mcp/scripted-mcp.ts'
import {
  insufficientScope,
  type Resource,
  startScriptedResource,
  unauthorized,
} from '../servers/hostile-resource.js'
import type { Answer, ScriptedRequest } from '../servers/scripted-server.js'
import { cutConnection, errorResponse, hang } from '../servers/token-responses.js'
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

/** What is called, in the terms of MCP. */
const called = ({ body }: ScriptedRequest): string =>
  body === '' ? '' : (JSON.parse(body) as { method: string }).method

/** An MCP server that does as it is told with every request that has a token. */
async function startMcp(
  issuer: string,
  answer: (request: ScriptedRequest, self: Resource) => Answer = answerAsMcp,
) {
  return closing(
    await startScriptedResource({
      authorizationServers: [issuer],
      answer: (request, self) =>
        bearer(request) === undefined ? unauthorized(self) : answer(request, self),
    }),
  )
}

const elsewhere = (claims: Record<string, unknown>) => ({ ...claims, aud: 'https://other.example' })

describe('a token for another resource', () => {
  test('fails the step "token audience" when the MCP server refuses it', async () => {
    const fixtures = await startDoctorFixtures({ as: { claims: elsewhere } })
    const broken = failedStep(await fixtures.diagnose())
    expect(broken).toMatchObject({ name: 'token audience', side: 'refused' })
    expect(broken.found).toBe(
      `the audience of the token is "https://other.example", and not ${fixtures.mcp.url}`,
    )
    expect(broken.remedy).toMatch(/^configure the authorization server to put http:.* into "aud"/)
  })

  test('is a warning beside a lack of scope, which is what it was refused for', async () => {
    const fixtures = await startDoctorFixtures({ as: { claims: elsewhere } })
    const { url } = await startMcp(fixtures.as.url, (_request, self) =>
      insufficientScope(self, 'admin'),
    )
    const steps = await fixtures.diagnose({ mcp: url })
    expect(step(steps, 'token audience').state).toBe('warning')
    expect(failedStep(steps).name).toBe('mcp initialize')
  })

  test('is a warning when the MCP server accepts the token', async () => {
    const fixtures = await startDoctorFixtures({ as: { claims: elsewhere } })
    const { url } = await startMcp(fixtures.as.url)
    const odd = notOk(await fixtures.diagnose({ mcp: url }))
    expect(odd).toMatchObject([{ name: 'token audience', state: 'warning' }])
    expect(odd[0]?.found).toMatch('and the MCP server accepts it')
  })

  test('fails where there is no MCP server to refuse it', async () => {
    const fixtures = await startDoctorFixtures({ as: { claims: elsewhere } })
    const options = { mcp: undefined, issuer: fixtures.as.url, resource: fixtures.mcp.url }
    expect(failedStep(await fixtures.diagnose(options))).toMatchObject({ name: 'token audience' })
  })
})

describe('an opaque token', () => {
  test('is for the resource when the MCP server accepts it', async () => {
    const fixtures = await startDoctorFixtures({ as: { accessTokenFormat: 'opaque' } })
    const { url } = await startMcp(fixtures.as.url)
    const steps = await fixtures.diagnose({ mcp: url })
    expect(notOk(steps)).toEqual([])
    expect(step(steps, 'token audience').found).toMatch(/opaque.*; the MCP server accepts it$/)
  })

  test('is not known when the MCP server refuses it', async () => {
    const fixtures = await startDoctorFixtures({ as: { accessTokenFormat: 'opaque' } })
    const steps = await fixtures.diagnose()
    expect(step(steps, 'token audience').state).toBe('warning')
    const broken = failedStep(steps)
    expect(broken).toMatchObject({ name: 'mcp initialize', code: 'ERR_OAUTH_TOKEN_REFUSED' })
    expect(broken.found).toMatch('HTTP status 401, invalid_token')
    expect(broken.remedy).toMatch(/issuer, audience, keys, clock/)
  })

  test.each([
    ['fits', (claims: object) => ({ active: true, ...claims }), 'ok', 'by introspection'],
    [
      'does not fit',
      () => ({ active: true, aud: 'https://other.example' }),
      'failed',
      'is "https://other.example", by introspection, and not',
    ],
    ['is not said', () => ({ active: true }), 'warning', 'has no audience'],
    ['is inactive', () => ({ active: false }), 'warning', 'says that it is inactive'],
  ])('is introspected: the audience %s', async (_what, answer, state, found) => {
    const introspect = (claims: object) => Response.json(answer(claims))
    const fixtures = await startDoctorFixtures({ as: { accessTokenFormat: 'opaque', introspect } })
    const options = { mcp: undefined, issuer: fixtures.as.url, resource: fixtures.mcp.url }
    const audience = step(await fixtures.diagnose(options), 'token audience')
    expect(audience.state).toBe(state)
    expect(audience.found).toMatch(found)
  })

  test.each([
    ['refused', () => new Response(null, { status: 403 }), 'HTTP status 403'],
    ['answered with what is no JSON', () => new Response('<html>'), 'introspection failed'],
  ])('stays untold when introspection is %s', async (_what, introspect, found) => {
    const fixtures = await startDoctorFixtures({ as: { accessTokenFormat: 'opaque', introspect } })
    const options = { mcp: undefined, issuer: fixtures.as.url, resource: fixtures.mcp.url }
    const [audience] = notOk(await fixtures.diagnose(options))
    expect(audience).toMatchObject({ name: 'token audience', state: 'warning' })
    expect(audience?.found).toMatch(found)
  })
})

describe('insufficient_scope', () => {
  const withoutAdmin = {
    refuse: (form: URLSearchParams) =>
      form.get('scope')?.includes('admin') ? errorResponse('invalid_scope') : undefined,
  }

  test('that is known beforehand fails the step "token", where the scope is refused', async () => {
    const fixtures = await startDoctorFixtures({
      as: withoutAdmin,
      mcp: { scopesSupported: ['tools'], requiredScopes: ['tools', 'admin'] },
    })
    const broken = failedStep(await fixtures.diagnose())
    expect(broken).toMatchObject({ name: 'token', side: 'refused', code: 'ERR_OAUTH_RESPONSE' })
    expect(broken.found).toMatch('invalid_scope')
  })

  test('for everything fails the step "mcp initialize", and names the scope', async () => {
    const fixtures = await startDoctorFixtures({ as: withoutAdmin })
    const { url } = await startMcp(fixtures.as.url, (_request, self) =>
      insufficientScope(self, 'admin'),
    )
    const broken = failedStep(await fixtures.diagnose({ mcp: url }))
    expect(broken).toMatchObject({ name: 'mcp initialize', side: 'refused' })
    expect(broken.found).toMatch('the MCP server needs the scope "admin"')
  })

  test('for the tools fails the step "tools", and names the scope', async () => {
    const fixtures = await startDoctorFixtures({ as: withoutAdmin })
    const { url } = await startMcp(fixtures.as.url, (request, self) =>
      called(request) === 'tools/list' ? insufficientScope(self, 'admin') : answerAsMcp(request),
    )
    const steps = await fixtures.diagnose({ mcp: url })
    expect(step(steps, 'mcp initialize').state).toBe('ok')
    const broken = failedStep(steps)
    expect(broken).toMatchObject({ name: 'tools', side: 'refused' })
    expect(broken.found).toMatch('insufficient_scope: the MCP server needs the scope "admin"')
    expect(broken.found).toMatch('refused: invalid_scope')
    expect(broken.remedy).toMatch(/^grant the scope "admin" to the client/)
  })

  test('that a token with more scope would not change fails that step also', async () => {
    const fixtures = await startDoctorFixtures()
    const { url } = await startMcp(fixtures.as.url, (request, self) =>
      called(request) === 'tools/list' ? insufficientScope(self, 'admin') : answerAsMcp(request),
    )
    const broken = failedStep(await fixtures.diagnose({ mcp: url }))
    expect(broken).toMatchObject({ name: 'tools' })
    expect(broken.found).toMatch(/needs the scope "admin"$/)
  })

  test('that another token cures is no fault: the library asks for it by itself', async () => {
    const fixtures = await startDoctorFixtures()
    const admins = new Set<string | undefined>()
    const { url } = await startMcp(fixtures.as.url, (request, self) => {
      if (called(request) !== 'tools/list' || admins.has(bearer(request))) {
        return answerAsMcp(request)
      }
      const claims = (bearer(request) ?? '').split('.')[1] ?? ''
      const scope = String(JSON.parse(Buffer.from(claims, 'base64url').toString()).scope)
      return scope.includes('admin') ? answerAsMcp(request) : insufficientScope(self, 'admin')
    })
    expect(notOk(await fixtures.diagnose({ mcp: url }))).toEqual([])
    expect(fixtures.tokenRequests()).toBe(2)
  })
})

describe('an MCP server behind its authorization', () => {
  test.each([
    ['hangs', () => hang, 'network'],
    ['cuts the connection', () => cutConnection, 'network'],
    ['answers 500', () => new Response(null, { status: 500 }), 'network'],
    ['answers 418', () => new Response(null, { status: 418 }), 'refused'],
    ['does not speak MCP', () => Response.json({ hello: 'world' }), 'refused'],
  ] as const)('that %s fails the step "mcp initialize"', async (_what, answer, side) => {
    const fixtures = await startDoctorFixtures()
    const { url } = await startMcp(fixtures.as.url, answer)
    const broken = failedStep(await fixtures.diagnose({ mcp: url, timeoutSeconds: 1 }))
    expect(broken).toMatchObject({ name: 'mcp initialize', side })
  })

  test('that lists no tools fails the step "tools"', async () => {
    const fixtures = await startDoctorFixtures()
    const { url } = await startMcp(fixtures.as.url, (request) => {
      if (called(request) !== 'tools/list') return answerAsMcp(request)
      const { id } = JSON.parse(request.body)
      const error = { code: -32603, message: 'the tools are away' }
      return Response.json({ jsonrpc: '2.0', id, error })
    })
    const broken = failedStep(await fixtures.diagnose({ mcp: url }))
    expect(broken).toMatchObject({ name: 'tools', side: 'refused' })
    expect(broken.found).toMatch('the tools are away')
  })
})

test('an abort ends the diagnosis with its reason', async () => {
  const fixtures = await startDoctorFixtures()
  const { url } = await startMcp(fixtures.as.url, () => hang)
  const controller = new AbortController()
  const reason = new Error('enough')
  setTimeout(() => controller.abort(reason), 300)
  const { signal } = controller
  await expect(examine(signer, { mcp: url, signal })).rejects.toBe(reason)
})
