import { spkiThumbprint } from '@countersign/core'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { describe, expect, test } from 'vitest'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import type { StrictOptions } from '../servers/strict-authorization-server.js'
import { errorResponse, tooManyRequests } from '../servers/token-responses.js'
import { countersign } from './command.ts'
import {
  clientId,
  closing,
  type DoctorFixtures,
  examine,
  failedStep,
  notOk,
  startDoctorFixtures,
} from './doctor-fixtures.ts'

/** Header and claims of each assertion that arrived, and whether client_id came with it. */
const received = ({ as }: DoctorFixtures) =>
  as.requests.flatMap(({ form }) => {
    const assertion = form.get('client_assertion')
    if (assertion === null) return []
    const inBody = form.has('client_id')
    return [{ ...decodeProtectedHeader(assertion), aud: decodeJwt(assertion).aud, inBody }]
  })

/** What a server wants, how many requests it takes to find out, and the options of the command that it takes. */
const servers: readonly [string, StrictOptions, number, readonly string[]][] = [
  ['client_id in the body (Spring 7)', { wantsClientId: true }, 2, ['--client-id-in-body']],
  [
    'client_id in the body, and typ JWT (Spring 1.5)',
    { wantsClientId: true, typ: 'JWT' },
    3,
    ['--client-id-in-body', '--typ', 'JWT'],
  ],
  ['typ JWT', { typ: 'JWT' }, 3, ['--typ', 'JWT']],
  ['typ JWT, and says so', { typ: 'JWT', says: true }, 2, ['--typ', 'JWT']],
  [
    'its token endpoint as audience',
    { audience: 'token endpoint' },
    2,
    ['--audience', 'token_endpoint'],
  ],
  [
    'the key ID of a certificate (Keycloak)',
    { byCertificate: true, refusalStatus: 400 },
    5,
    ['--kid', 'spki-sha256'],
  ],
  [
    'the key ID of a certificate, and says something of the key',
    { byCertificate: true, refusalStatus: 400, says: true },
    2,
    ['--kid', 'spki-sha256'],
  ],
]

describe.each(servers)('a server that wants %s', (_what, as, requests, options) => {
  test(`is found out by ${requests} requests, and the option that helps is named`, async () => {
    const fixtures = await startDoctorFixtures({ as })
    const broken = failedStep(await fixtures.diagnose())
    expect(broken).toMatchObject({ name: 'token', side: 'refused' })
    const given = options.join(' ').replace(' --', ' and --')
    expect(broken.remedy).toMatch(`give ${given}; in code: privateKeyJwt(signer, { `)
    expect(fixtures.tokenRequests()).toBe(requests)
  })

  test.each(['token', 'tools', 'call', 'doctor'])(
    'is content with that option of countersign %s',
    async (command) => {
      const fixtures = await startDoctorFixtures({ as })
      const mcp = fixtures.mcp.url
      const args = { token: ['--mcp', mcp], tools: [mcp], call: [mcp, 'whoami'] }[command]
      const own = ['--key', fixtures.keyFile, '--client-id', clientId, ...options]
      const ended = await countersign([command, ...(args ?? ['--mcp', mcp]), ...own])
      expect(ended).toMatchObject({ code: 0, stderr: '' })
      expect(fixtures.tokenRequests()).toBe(1)
    },
  )
})

test('a server that registered the key under another key ID is found out by leaving it out', async () => {
  const keys = ({ keys }: { keys: object[] }) => keys.map((jwk) => ({ ...jwk, kid: 'custom' }))
  const known = await startDoctorFixtures()
  const fixtures = await startDoctorFixtures({
    as: { clients: { [clientId]: { keys: keys({ keys: [{ ...known.signer.publicJwk }] }) } } },
  })
  const broken = failedStep(await fixtures.diagnose())
  expect(broken.remedy).toMatch(/^give --kid none; in code: privateKeyJwt\(signer, { kid: null }\)/)
  expect(broken.candidates).toEqual(['kid'])
  for (const kid of [null, 'custom']) {
    expect(notOk(await fixtures.diagnose({ assertion: { kid } }))).toEqual([])
  }
})

describe('what is tried after a refusal', () => {
  test('goes to the same server, is for that server, and changes one thing at a time', async () => {
    const fixtures = await startDoctorFixtures()
    await fixtures.diagnose({ clientId: 'nobody' })
    const { url } = fixtures.as
    const plain = {
      alg: 'ES256',
      typ: 'client-authentication+jwt',
      kid: fixtures.signer.kid,
      aud: url,
      inBody: false,
    }
    const { kid: _, ...withoutKid } = plain
    expect(received(fixtures)).toEqual([
      plain,
      { ...plain, aud: `${url}/token` },
      { ...plain, typ: 'JWT' },
      { ...plain, inBody: true },
      { ...plain, kid: spkiThumbprint(fixtures.signer.publicJwk) },
      withoutKid,
    ])
  })

  test('is no more than six requests, with a clock that differs as well', async () => {
    const fixtures = await startDoctorFixtures({ as: { aheadSeconds: 300 } })
    await fixtures.diagnose({ clientId: 'nobody' })
    expect(fixtures.tokenRequests()).toBe(7)
  })

  test('leaves out what is as it was given, and what the server does not complain of', async () => {
    const given = await startDoctorFixtures({ as: { wantsClientId: true } })
    const assertion = { typ: 'JWT', kid: null, clientIdInBody: true }
    await given.diagnose({ clientId: 'nobody', assertion })
    expect(received(given)).toHaveLength(3)

    const saying = await startDoctorFixtures({ as: { says: true } })
    await saying.diagnose({ clientId: 'nobody' })
    expect(received(saying)).toHaveLength(1)
  })

  test('ends when the server asks for a pause', async () => {
    let count = 0
    const as = closing(
      await startScriptedAuthorizationServer({
        token: () =>
          ++count > 1 ? tooManyRequests('60') : errorResponse('invalid_client', { status: 401 }),
      }),
    )
    const fixtures = await startDoctorFixtures()
    const broken = failedStep(await examine(fixtures.signer, { issuer: as.url }))
    expect(broken).toMatchObject({ name: 'token', code: 'ERR_OAUTH_RESPONSE' })
    expect(count).toBe(2)
  })

  test('says nothing of the cause of an invalid_request that no change helped', async () => {
    const fixtures = await startDoctorFixtures({
      as: { refuse: () => errorResponse('invalid_request') },
    })
    const broken = failedStep(await fixtures.diagnose())
    expect(broken).toMatchObject({
      name: 'token',
      remedy: expect.stringMatching(/^look up the error/),
    })
    expect(broken.candidates).toBeUndefined()
    expect(broken.found).toMatch(/invalid_request; refused also with client_id in the body/)
  })
})
