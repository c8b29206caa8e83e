import { decodeJwt } from 'jose'
import { describe, expect, it } from 'vitest'
import {
  startIssuerThief,
  startScriptedAuthorizationServer,
} from '../servers/hostile-authorization-server.js'
import { startScriptedResource } from '../servers/hostile-resource.js'
import type { ScriptedServer } from '../servers/scripted-server.js'
import { errorResponse, tokenResponse } from '../servers/token-responses.js'
import { countersign } from './command.ts'
import { clientId, closing, startDoctorFixtures } from './doctor-fixtures.ts'

/** The commands that send an assertion to the authorization server that an MCP server names. */
const commands = {
  tools: (mcp: string) => ['tools', mcp],
  call: (mcp: string) => ['call', mcp, 'x'],
  'token --mcp': (mcp: string) => ['token', '--mcp', mcp],
  doctor: (mcp: string) => ['doctor', '--mcp', mcp],
}
const names = Object.keys(commands) as (keyof typeof commands)[]

/** An MCP server that is not trusted, with an authorization server of the same kind. */
async function startHostile(start: () => Promise<ScriptedServer>) {
  const as = closing(await start())
  const resource = closing(await startScriptedResource({ authorizationServers: [as.url] }))
  return { as, mcp: resource.url }
}

const audiences = ({ credentials }: ScriptedServer) =>
  credentials.filter((one) => one.startsWith('ey')).map((assertion) => decodeJwt(assertion).aud)

const bank = 'https://bank.example'

describe.each(names)(
  'countersign %s, sent by an MCP server to its own authorization server',
  (name) => {
    const run = async (mcp: string, options: string[], env: Record<string, string> = {}) => {
      const { keyFile } = await startDoctorFixtures()
      const args = [...commands[name](mcp), '--key', keyFile, '--client-id', clientId, ...options]
      return countersign(args, { env })
    }

    it.each([
      ['--audience', ['--audience', bank], {}],
      ['COUNTERSIGN_AUDIENCE', [], { COUNTERSIGN_AUDIENCE: bank }],
      ['--audience with a path', ['--audience', `${bank}/token`], {}],
    ])('makes no assertion for the server of %s', async (_what, options, env) => {
      const { as, mcp } = await startHostile(startScriptedAuthorizationServer)
      const ended = await run(mcp, options, env as Record<string, string>)
      expect(ended.code).toBe(1)
      expect(ended.stdout + ended.stderr).toMatch(`has the audience "${bank}`)
      expect(ended.stdout + ended.stderr).toMatch(/with --issuer/)
      expect(as.credentials).toEqual([])
    })

    it.each([[], ['--audience', 'issuer'], ['--audience', 'token_endpoint']])(
      'makes assertions for that server alone (%s %s), even when it refuses each',
      async (...options) => {
        const refuse = () => errorResponse('invalid_client', { status: 401 })
        for (const token of [tokenResponse, refuse]) {
          const { as, mcp } = await startHostile(() =>
            startScriptedAuthorizationServer({ token: () => token() }),
          )
          await run(mcp, options)
          expect(as.credentials.length).toBeGreaterThan(0)
          for (const aud of audiences(as)) expect([as.url, `${as.url}/token`]).toContain(aud)
        }
      },
    )

    it('makes no assertion for a token endpoint of another server that it names as its own', async () => {
      const honest = closing(await startScriptedAuthorizationServer())
      const { as, mcp } = await startHostile(() =>
        startScriptedAuthorizationServer({ metadata: { token_endpoint: `${honest.url}/token` } }),
      )
      const ended = await run(mcp, ['--audience', 'token_endpoint'])
      expect(ended.code).toBe(1)
      expect([...as.credentials, ...honest.credentials]).toEqual([])
    })

    it('makes no assertion when that claims to be the server of --issuer', async () => {
      const honest = closing(await startScriptedAuthorizationServer())
      const { as, mcp } = await startHostile(() => startIssuerThief(honest.url))
      const ended = await run(mcp, ['--issuer', honest.url, '--audience', bank])
      expect(ended.code).toBe(1)
      expect([...as.credentials, ...honest.credentials]).toEqual([])
    })
  },
)

describe('with an issuer that the caller gave', () => {
  it('any audience goes to that server, which may want one that nobody else knows', async () => {
    const { keyFile } = await startDoctorFixtures()
    const as = closing(await startScriptedAuthorizationServer())
    const options = ['--key', keyFile, '--client-id', clientId, '--issuer', as.url]
    const ended = await countersign(['token', ...options, '--audience', 'urn:bank:tokens'])
    expect(ended).toMatchObject({ code: 0, stderr: '' })
    expect(audiences(as)).toEqual(['urn:bank:tokens'])
  })
})

it('an audience that is sent is issuer, token_endpoint or a URL', async () => {
  const args = ['token', '--issuer', bank, '--audience', 'bank', '--key', 'x', '--client-id', 'x']
  const ended = await countersign(args)
  expect(ended).toMatchObject({ code: 2, stdout: '' })
  expect(ended.stderr).toMatch(/must be issuer, token_endpoint or a URL/)
})

describe('countersign assertion, which sends nothing', () => {
  const print = async (options: string[]) => {
    const { keyFile } = await startDoctorFixtures()
    return countersign(['assertion', keyFile, '--client-id', clientId, ...options])
  }

  it('takes any audience', async () => {
    const { stdout, stderr } = await print(['--audience', 'anything at all'])
    expect(stderr).toBe('')
    expect(decodeJwt(stdout.trim()).aud).toBe('anything at all')
  })

  it('accepts issuer and token_endpoint with --issuer', async () => {
    const as = closing(await startScriptedAuthorizationServer())
    const [ofIssuer, ofEndpoint, unknown] = await Promise.all([
      print(['--issuer', as.url, '--audience', 'issuer']),
      print(['--issuer', as.url, '--audience', 'token_endpoint']),
      print(['--audience', 'token_endpoint']),
    ])
    expect(decodeJwt(ofIssuer.stdout.trim()).aud).toBe(as.url)
    expect(decodeJwt(ofEndpoint.stdout.trim()).aud).toBe(`${as.url}/token`)
    expect(unknown).toMatchObject({ code: 2, stdout: '' })
    expect(as.credentials).toEqual([])
  })
})
