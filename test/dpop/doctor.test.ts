import { jwks, SignerError } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { dpopSession } from '@countersign/oauth'
import { describe, expect, test } from 'vitest'
import { diagnose } from '../../packages/cli/src/doctor/diagnose.ts'
import type { DiagnoseOptions } from '../../packages/cli/src/doctor/step.ts'
import { countersign } from '../cli/command.ts'
import {
  closing,
  examine,
  failedStep,
  notOk,
  startDoctorFixtures,
  step,
  writeKey,
} from '../cli/doctor-fixtures.ts'
import { answerAsMcp } from '../mcp/scripted-mcp.ts'
import { newSigner, startServers } from '../mcp/servers.ts'
import { startAuthorizationServer } from '../servers/authorization-server.js'
import { startScriptedResource, unauthorized } from '../servers/hostile-resource.js'
import { startMcpServer } from '../servers/mcp-server.js'
import { errorResponse, tokenResponse } from '../servers/token-responses.js'
import { keyPair } from '../support/key-pairs.js'

const withProofs: Pick<DiagnoseOptions, 'openDpop'> = {
  openDpop: async () => ({ session: dpopSession(), async [Symbol.asyncDispose]() {} }),
}

const algs = { dpop_signing_alg_values_supported: ['ES256'] }

describe('with --dpop, the doctor', () => {
  test.each(['supported', 'nonce'] as const)(
    'passes all steps with bound tokens; nonces: %s',
    async (dpop) => {
      const { signer, mcp } = await startServers({ dpop })
      mcp.dpop.requireNonce('first')
      const steps = await examine(signer, { mcp: mcp.url, clientId: 'agent', ...withProofs })
      expect(notOk(steps)).toEqual([])
      expect(step(steps, 'proof key').found).toMatch(/^ES256, thumbprint [\w-]{43}$/)
      expect(step(steps, 'token binding').found).toBe('DPoP with ES256, which is listed')
      expect(step(steps, 'token').found).toMatch(/^a DPoP-bound token/)
      expect(mcp.dpop.proofs.length).toBeGreaterThan(1)
    },
  )

  test('fails the step "proof key" when that key cannot be opened', async () => {
    const fixtures = await startDoctorFixtures()
    const openDpop = async () => {
      throw new SignerError('ERR_SIGNER_KEY_NOT_FOUND', 'There is no such key')
    }
    const broken = failedStep(await fixtures.diagnose({ openDpop }))
    expect(broken).toMatchObject({ name: 'proof key', side: 'key', found: 'There is no such key' })
  })

  test('closes the key of the proofs, also when a step fails or the caller stops', async () => {
    const { signer, mcp } = await startServers({ dpop: 'supported' })
    let closed = 0
    const close = async () => void closed++
    const openDpop = async () => ({ session: dpopSession(), [Symbol.asyncDispose]: close })
    await examine(signer, { mcp: mcp.url, clientId: 'agent', openDpop })
    await examine(signer, { mcp: mcp.url, clientId: 'unknown', openDpop })
    expect(closed).toBe(2)
    const openKey = async () => ({ signer, async [Symbol.asyncDispose]() {} })
    const options = {
      openKey,
      keyStore: 'the key store',
      clientId: 'agent',
      mcp: mcp.url,
      openDpop,
    }
    for await (const { name } of diagnose(options)) if (name === 'proof key') break
    expect(closed).toBe(3)
  })

  test('fails the step "token binding" for an algorithm that the server does not list', async () => {
    const metadata = { dpop_signing_alg_values_supported: ['EdDSA'] }
    const fixtures = await startDoctorFixtures({ as: { metadata } })
    const broken = failedStep(await fixtures.diagnose(withProofs))
    expect(broken).toMatchObject({ name: 'token binding', code: 'ERR_OAUTH_ALG_NOT_ADVERTISED' })
    expect(fixtures.tokenRequests()).toBe(0)
  })

  test('warns of an algorithm that the MCP server does not list', async () => {
    const fixtures = await startDoctorFixtures({ as: { metadata: algs } })
    const { url } = closing(
      await startScriptedResource({
        authorizationServers: [fixtures.as.url],
        metadata: { dpop_signing_alg_values_supported: ['PS256'] },
      }),
    )
    const steps = await fixtures.diagnose({ mcp: url, ...withProofs })
    expect(step(steps, 'token binding')).toMatchObject({
      state: 'warning',
      found: 'the MCP server lists ["PS256"], and not ES256',
    })
  })

  test('fails the step "token" when the server grants a bearer token', async () => {
    const fixtures = await startDoctorFixtures()
    const steps = await fixtures.diagnose(withProofs)
    expect(step(steps, 'token binding').state).toBe('warning')
    const broken = failedStep(steps)
    expect(broken).toMatchObject({ name: 'token', code: 'ERR_OAUTH_TOKEN_TYPE' })
    expect(broken.remedy).toMatch(/^have the authorization server bind the tokens/)
  })

  test.each([
    ['invalid_dpop_proof', 'DPoP proof htu mismatch', /a proxy in front of it must pass on/],
    ['invalid_dpop_proof', 'The iat is too old', /^set the clock of this machine/],
    ['invalid_dpop_proof', 'Unsupported algorithm', /--dpop-key/],
    ['invalid_dpop_proof', undefined, /^\(1\) .*; \(2\) compare the clocks; \(3\) /],
    ['use_dpop_nonce', undefined, /does not remove the header DPoP-Nonce/],
  ])(
    'says what to do about %s of the authorization server: %s',
    async (error, description, remedy) => {
      const refuse = () =>
        errorResponse(error, { status: 400, ...(description && { description }) })
      const fixtures = await startDoctorFixtures({ as: { metadata: algs, refuse } })
      const broken = failedStep(await fixtures.diagnose(withProofs))
      expect(broken).toMatchObject({ name: 'token', side: 'refused' })
      expect(broken.found).toContain(error)
      expect(broken.remedy).toMatch(remedy)
      expect(fixtures.tokenRequests()).toBe(1)
    },
  )

  test('fails the step "mcp initialize" when the MCP server does not know DPoP', async () => {
    const signer = await newSigner()
    const as = closing(await startAuthorizationServer({ dpop: 'supported' }))
    await as.registerClient({
      ...{ client_id: 'agent', token_endpoint_auth_method: 'private_key_jwt', jwks: jwks(signer) },
    })
    const mcp = closing(await startMcpServer({ issuer: as.issuer }))
    as.registerResource(mcp.url, [])
    const steps = await examine(signer, { mcp: mcp.url, clientId: 'agent', ...withProofs })
    const broken = failedStep(steps)
    expect(broken).toMatchObject({ name: 'mcp initialize', side: 'refused' })
    expect(broken.found).toContain('asks for a bearer token, and does not offer DPoP')
  })

  test.each([
    ['invalid_dpop_proof', /^\(1\) have the MCP server compare the proof with its public URL/],
    ['use_dpop_nonce', /does not remove the header DPoP-Nonce/],
  ])('says what to do about %s of the MCP server', async (error, remedy) => {
    const dpopAs = await startServers({ dpop: 'supported' })
    const { url } = closing(
      await startScriptedResource({
        authorizationServers: [dpopAs.as.issuer],
        answer: () =>
          new Response(null, {
            status: 401,
            headers: { 'www-authenticate': `DPoP error="${error}", algs="ES256"` },
          }),
      }),
    )
    dpopAs.as.registerResource(url, [])
    const steps = await examine(dpopAs.signer, { mcp: url, clientId: 'agent', ...withProofs })
    const broken = failedStep(steps)
    expect(broken).toMatchObject({ name: 'mcp initialize' })
    expect(broken.found).toContain(error)
    expect(broken.remedy).toMatch(remedy)
  })
})

describe('without --dpop, the doctor', () => {
  const remedy = 'give --dpop; in code: dpop: true'

  test('sends a proof to a server that binds the tokens of the client, and reports that it helped', async () => {
    const { signer, as, mcp } = await startServers({
      dpop: 'supported',
      client: { dpop_bound_access_tokens: true },
    })
    const broken = failedStep(await examine(signer, { mcp: mcp.url, clientId: 'agent' }))
    expect(broken).toMatchObject({ name: 'token', remedy })
    expect(broken.found).toMatch(/invalid_grant.*; granted with a DPoP proof$/)
    expect(as.counters.token).toBe(2)
  })

  test('leaves invalid_grant as it is when a proof does not help', async () => {
    const refuse = () => errorResponse('invalid_grant', { status: 400 })
    const fixtures = await startDoctorFixtures({ as: { metadata: algs, refuse } })
    const broken = failedStep(await fixtures.diagnose())
    expect(broken.found).toMatch(/invalid_grant$/)
    expect(broken.remedy).not.toBe(remedy)
    expect(fixtures.tokenRequests()).toBe(2)
  })

  test('reports that a proof did not help', async () => {
    const refuse = () => errorResponse('invalid_dpop_proof', { status: 400 })
    const fixtures = await startDoctorFixtures({ as: { refuse } })
    const broken = failedStep(await fixtures.diagnose())
    expect(broken).toMatchObject({ name: 'token', remedy })
    expect(broken.found).toMatch(/; refused also with a DPoP proof: .*invalid_dpop_proof$/)
  })

  test('warns of an MCP server whose challenge names only DPoP, and which then refuses the token', async () => {
    const { signer, mcp } = await startServers({ dpop: 'supported' })
    const steps = await examine(signer, { mcp: mcp.url, clientId: 'agent' })
    expect(step(steps, 'token binding')).toMatchObject({
      ...{ state: 'warning', remedy },
      found: 'the MCP server asks for DPoP, and not for Bearer',
    })
    const broken = failedStep(steps)
    expect(broken).toMatchObject({ name: 'mcp initialize', remedy })
    expect(broken.found).toContain('accepts only tokens that are bound to a key')
  })

  test('warns of an MCP server whose metadata requires DPoP, even if it accepts the token', async () => {
    const fixtures = await startDoctorFixtures()
    const { url } = closing(
      await startScriptedResource({
        authorizationServers: [fixtures.as.url],
        metadata: { dpop_bound_access_tokens_required: true },
        answer: (request, self) =>
          request.headers['authorization'] === undefined
            ? unauthorized(self)
            : answerAsMcp(request),
      }),
    )
    const odd = notOk(await fixtures.diagnose({ mcp: url }))
    expect(odd).toMatchObject([{ name: 'token binding', state: 'warning', remedy }])
  })

  test('fails the step "token" for a token that is bound to a key', async () => {
    const refuse = () => tokenResponse({ token_type: 'DPoP' })
    const fixtures = await startDoctorFixtures({ as: { refuse } })
    const broken = failedStep(await fixtures.diagnose())
    expect(broken).toMatchObject({ name: 'token', code: 'ERR_OAUTH_TOKEN_TYPE', remedy })
  })
})

test('countersign doctor --dpop-key passes all steps', async () => {
  const { privateKey } = keyPair('P-256')
  const key = writeKey(String(privateKey.export({ type: 'pkcs8', format: 'pem' })))
  const signer = await localSigner({ key: privateKey })
  const { mcp } = await startServers({ signer, dpop: 'nonce' })
  const args = ['doctor', '--mcp', mcp.url, '--key', key, '--client-id', 'agent']
  const { code, stdout } = await countersign([...args, '--dpop-key', key])
  expect({ code, stdout }).toMatchObject({ code: 0 })
  expect(stdout).toContain('a DPoP-bound token')
})
