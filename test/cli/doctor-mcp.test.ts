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
import { brokenStep, closing, examine, oddSteps, startLine, step } from './doctor-line.ts'

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

describe('a token that is made out to another resource', () => {
  test('breaks the line at "token audience" when the MCP server refuses it', async () => {
    const line = await startLine({ as: { claims: elsewhere } })
    const broken = brokenStep(await line.diagnose())
    expect(broken).toMatchObject({ name: 'token audience', side: 'refused' })
    expect(broken.found).toBe(
      `the token is made out to "https://other.example", and not to ${line.mcp.url}`,
    )
    expect(broken.remedy).toMatch(/^have the authorization server put http:.* into "aud"/)
  })

  test('is a warning beside a lack of scope, which is what it was refused for', async () => {
    const line = await startLine({ as: { claims: elsewhere } })
    const { url } = await startMcp(line.as.url, (_request, self) =>
      insufficientScope(self, 'admin'),
    )
    const steps = await line.diagnose({ mcp: url })
    expect(step(steps, 'token audience').state).toBe('warning')
    expect(brokenStep(steps).name).toBe('mcp initialize')
  })

  test('is a warning when the MCP server does not mind', async () => {
    const line = await startLine({ as: { claims: elsewhere } })
    const { url } = await startMcp(line.as.url)
    const odd = oddSteps(await line.diagnose({ mcp: url }))
    expect(odd).toMatchObject([{ name: 'token audience', state: 'warning' }])
    expect(odd[0]?.found).toMatch('and the MCP server takes it')
  })

  test('breaks the line where there is no MCP server to refuse it', async () => {
    const line = await startLine({ as: { claims: elsewhere } })
    const options = { mcp: undefined, issuer: line.as.url, resource: line.mcp.url }
    expect(brokenStep(await line.diagnose(options))).toMatchObject({ name: 'token audience' })
  })
})

describe('an opaque token', () => {
  test('is for the resource when the MCP server takes it', async () => {
    const line = await startLine({ as: { accessTokenFormat: 'opaque' } })
    const { url } = await startMcp(line.as.url)
    const steps = await line.diagnose({ mcp: url })
    expect(oddSteps(steps)).toEqual([])
    expect(step(steps, 'token audience').found).toMatch(/opaque.*; the MCP server takes it$/)
  })

  test('cannot be told about when the MCP server refuses it', async () => {
    const line = await startLine({ as: { accessTokenFormat: 'opaque' } })
    const steps = await line.diagnose()
    expect(step(steps, 'token audience').state).toBe('warning')
    const broken = brokenStep(steps)
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
      'to "https://other.example", and not to',
    ],
    ['is not said', () => ({ active: true }), 'warning', 'names no audience'],
    ['is inactive', () => ({ active: false }), 'warning', 'calls it inactive'],
  ])('is introspected: the audience %s', async (_what, answer, state, found) => {
    const introspect = (claims: object) => Response.json(answer(claims))
    const line = await startLine({ as: { accessTokenFormat: 'opaque', introspect } })
    const options = { mcp: undefined, issuer: line.as.url, resource: line.mcp.url }
    const audience = step(await line.diagnose(options), 'token audience')
    expect(audience.state).toBe(state)
    expect(audience.found).toMatch(found)
  })

  test.each([
    ['refused', () => new Response(null, { status: 403 }), 'HTTP status 403'],
    ['answered with what is no JSON', () => new Response('<html>'), 'could not be asked'],
  ])('stays untold when introspection is %s', async (_what, introspect, found) => {
    const line = await startLine({ as: { accessTokenFormat: 'opaque', introspect } })
    const options = { mcp: undefined, issuer: line.as.url, resource: line.mcp.url }
    const [audience] = oddSteps(await line.diagnose(options))
    expect(audience).toMatchObject({ name: 'token audience', state: 'warning' })
    expect(audience?.found).toMatch(found)
  })
})

describe('insufficient_scope', () => {
  const withoutAdmin = {
    refuse: (form: URLSearchParams) =>
      form.get('scope')?.includes('admin') ? errorResponse('invalid_scope') : undefined,
  }

  test('that is known beforehand breaks the line at "token", where the scope is refused', async () => {
    const line = await startLine({
      as: withoutAdmin,
      mcp: { scopesSupported: ['tools'], requiredScopes: ['tools', 'admin'] },
    })
    const broken = brokenStep(await line.diagnose())
    expect(broken).toMatchObject({ name: 'token', side: 'refused', code: 'ERR_OAUTH_RESPONSE' })
    expect(broken.found).toMatch('invalid_scope')
  })

  test('for everything breaks the line at "mcp initialize", and names the scope', async () => {
    const line = await startLine({ as: withoutAdmin })
    const { url } = await startMcp(line.as.url, (_request, self) =>
      insufficientScope(self, 'admin'),
    )
    const broken = brokenStep(await line.diagnose({ mcp: url }))
    expect(broken).toMatchObject({ name: 'mcp initialize', side: 'refused' })
    expect(broken.found).toMatch('the MCP server wants the scope "admin"')
  })

  test('for the tools breaks the line at "tools", and names the scope', async () => {
    const line = await startLine({ as: withoutAdmin })
    const { url } = await startMcp(line.as.url, (request, self) =>
      called(request) === 'tools/list' ? insufficientScope(self, 'admin') : answerAsMcp(request),
    )
    const steps = await line.diagnose({ mcp: url })
    expect(step(steps, 'mcp initialize').state).toBe('ok')
    const broken = brokenStep(steps)
    expect(broken).toMatchObject({ name: 'tools', side: 'refused' })
    expect(broken.found).toMatch('insufficient_scope: the MCP server wants the scope "admin"')
    expect(broken.found).toMatch('refused: invalid_scope')
    expect(broken.remedy).toMatch(/^grant the scope "admin" to the client/)
  })

  test('that a token with more scope would not change breaks the line there, too', async () => {
    const line = await startLine()
    const { url } = await startMcp(line.as.url, (request, self) =>
      called(request) === 'tools/list' ? insufficientScope(self, 'admin') : answerAsMcp(request),
    )
    const broken = brokenStep(await line.diagnose({ mcp: url }))
    expect(broken).toMatchObject({ name: 'tools' })
    expect(broken.found).toMatch(/wants the scope "admin"$/)
  })

  test('that another token cures is no fault: the library asks for it by itself', async () => {
    const line = await startLine()
    const admins = new Set<string | undefined>()
    const { url } = await startMcp(line.as.url, (request, self) => {
      if (called(request) !== 'tools/list' || admins.has(bearer(request))) {
        return answerAsMcp(request)
      }
      const claims = (bearer(request) ?? '').split('.')[1] ?? ''
      const scope = String(JSON.parse(Buffer.from(claims, 'base64url').toString()).scope)
      return scope.includes('admin') ? answerAsMcp(request) : insufficientScope(self, 'admin')
    })
    expect(oddSteps(await line.diagnose({ mcp: url }))).toEqual([])
    expect(line.tokenRequests()).toBe(2)
  })
})

describe('an MCP server behind its authorization', () => {
  test.each([
    ['hangs', () => hang, 'network'],
    ['cuts the connection', () => cutConnection, 'network'],
    ['answers 500', () => new Response(null, { status: 500 }), 'network'],
    ['answers 418', () => new Response(null, { status: 418 }), 'refused'],
    ['does not speak MCP', () => Response.json({ hello: 'world' }), 'refused'],
  ] as const)('that %s breaks the line at "mcp initialize"', async (_what, answer, side) => {
    const line = await startLine()
    const { url } = await startMcp(line.as.url, answer)
    const broken = brokenStep(await line.diagnose({ mcp: url, timeoutSeconds: 1 }))
    expect(broken).toMatchObject({ name: 'mcp initialize', side })
  })

  test('that lists no tools breaks the line at "tools"', async () => {
    const line = await startLine()
    const { url } = await startMcp(line.as.url, (request) => {
      if (called(request) !== 'tools/list') return answerAsMcp(request)
      const { id } = JSON.parse(request.body)
      const error = { code: -32603, message: 'the tools are away' }
      return Response.json({ jsonrpc: '2.0', id, error })
    })
    const broken = brokenStep(await line.diagnose({ mcp: url }))
    expect(broken).toMatchObject({ name: 'tools', side: 'refused' })
    expect(broken.found).toMatch('the tools are away')
  })
})

test('an abort ends the diagnosis with its reason', async () => {
  const line = await startLine()
  const { url } = await startMcp(line.as.url, () => hang)
  const controller = new AbortController()
  const reason = new Error('enough')
  setTimeout(() => controller.abort(reason), 300)
  const { signal } = controller
  await expect(examine(signer, { mcp: url, signal })).rejects.toBe(reason)
})
