import { rotating } from '@countersign/core'
import {
  clientSecretBasic,
  identityAssertion,
  jwtBearer,
  privateKeyJwt,
  publicClient,
  type TokenProvider,
} from '@countersign/oauth'
import { createRemoteJWKSet, decodeJwt, jwtVerify, SignJWT } from 'jose'
import { expect, test } from 'vitest'
import { closing, es256Signer, refusal, signaturesOf, startClock } from '../oauth/fixtures.ts'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import type { Script } from '../servers/scripted-server.js'
import { type Answer, ID_JAG, ID_JAG_TYP, JWT_BEARER } from '../servers/token-grants.js'
import { issuerKey, resource, startEnterprise, user } from './servers.ts'

test('a user’s token becomes an access token by private_key_jwt at both servers', async () => {
  const { idp, as, signers, source, idToken } = await startEnterprise()
  const subjectToken = await idToken()
  const token = await source({}, () => subjectToken).token()
  const keys = createRemoteJWKSet(new URL(as.metadata.jwks_uri))
  const { payload } = await jwtVerify(token, keys, { issuer: as.issuer, audience: resource })
  expect(payload).toMatchObject({ sub: user, client_id: 'agent-at-as', scope: 'use' })

  const [exchange] = idp.tokenRequests
  expect(exchange?.assertion?.header.kid).toBe(signers.idp.kid)
  expect(exchange?.assertion?.claims).toMatchObject({ sub: 'agent-at-idp', aud: idp.issuer })
  expect(exchange?.form).toMatchObject({
    requested_token_type: ID_JAG,
    audience: as.issuer,
    resource,
    scope: 'use',
    subject_token: subjectToken,
    subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
  })
  const [access] = as.tokenRequests
  expect(access?.assertion?.header.kid).toBe(signers.as.kid)
  expect(access?.assertion?.claims).toMatchObject({ sub: 'agent-at-as', aud: as.issuer })
  expect(access?.form).toMatchObject({ grant_type: JWT_BEARER, resource, scope: 'use' })
  expect(JSON.stringify(access?.form)).not.toContain(subjectToken)
  expect(decodeJwt(String(access?.form['assertion']))).toMatchObject({ aud: as.issuer })
  expect([idp.counters.discovery, as.counters.discovery]).toEqual([1, 1])
})

test('100 callers share one request to each server, and each renewal has a new ID-JAG', async () => {
  const { idp, as, source, idToken } = await startEnterprise()
  let calls = 0
  const agent = source({}, () => {
    calls += 1
    return idToken()
  })
  const signatures = await signaturesOf(async () => {
    const tokens = await Promise.all(Array.from({ length: 100 }, () => agent.token()))
    agent.invalidate(tokens[0] ?? '')
    await agent.token()
  })
  expect([calls, idp.counters.token, as.counters.token, signatures.length]).toEqual([2, 2, 2, 4])
  expect(new Set(as.tokenRequests.map(({ form }) => form['assertion'])).size).toBe(2)
  expect(idp.counters.discovery).toBe(1)
})

test.for(['supported', 'nonce'] as const)(
  'the token is bound to a key by DPoP, %s',
  async (dpop) => {
    const { as, source } = await startEnterprise(undefined, dpop)
    const { access_token, token_type } = await source({ dpop: true }).tokenResponse()
    expect(token_type).toBe('dpop')
    expect(decodeJwt(access_token)).toMatchObject({ sub: user, cnf: { jkt: expect.any(String) } })
    const statuses = as.tokenRequests.map(({ status }) => status)
    expect(statuses).toEqual(dpop === 'nonce' ? [400, 200] : [200])
  },
)

/** Changes claims of the ID-JAG. */
const claims = (changes: Record<string, unknown>) => (answer: Answer) => ({
  ...answer,
  claims: { ...answer.claims, ...changes },
})

test.for([
  ['for another authorization server', 'ERR_OAUTH_AUDIENCE', claims({ aud: 'https://other.test' })],
  [
    'for a further authorization server',
    'ERR_OAUTH_AUDIENCE',
    (answer: Answer) => claims({ aud: [String(answer.claims.aud), 'https://other.test'] })(answer),
  ],
  ['for no authorization server', 'ERR_OAUTH_AUDIENCE', claims({ aud: [] })],
  ['of another client', 'ERR_OAUTH_ASSERTION', claims({ client_id: 'other' })],
  ['of no client', 'ERR_OAUTH_ASSERTION', claims({ client_id: undefined })],
  ['for another resource', 'ERR_OAUTH_RESOURCE_MISMATCH', claims({ resource: `${resource}/x` })],
  ['for a further resource', 'ERR_OAUTH_RESOURCE_MISMATCH', claims({ resource: [resource, 'x'] })],
  ['of another issuer', 'ERR_OAUTH_ISSUER_MISMATCH', claims({ iss: 'https://other.test' })],
  [
    'of another typ',
    'ERR_OAUTH_INVALID_RESPONSE',
    (answer: Answer) => ({ ...answer, header: { typ: 'JWT' } }),
  ],
  [
    'as another token type',
    'ERR_OAUTH_INVALID_RESPONSE',
    (answer: Answer) => ({
      ...answer,
      members: { ...answer.members, issued_token_type: 'urn:ietf:params:oauth:token-type:jwt' },
    }),
  ],
  [
    'as an access token',
    'ERR_OAUTH_INVALID_RESPONSE',
    (answer: Answer) => ({ ...answer, members: { ...answer.members, token_type: 'Bearer' } }),
  ],
  [
    'in place of which there is something else',
    'ERR_OAUTH_INVALID_RESPONSE',
    (answer: Answer) => ({ ...answer, members: { ...answer.members, access_token: 's3cret' } }),
  ],
] as const)('an ID-JAG %s is not sent: %s', async ([, code, change]) => {
  const { idp, as, source } = await startEnterprise(change)
  const signatures = await signaturesOf(async () => {
    const error = await refusal(() => source({ retries: 0 }).token())
    expect(error.code).toBe(code)
    expect(error.message).toContain(idp.issuer)
    expect(error.message).not.toMatch(/s3cret|eyJ/)
  })
  // The identity provider's client assertion is the only signature.
  expect([idp.counters.token, as.counters.token, signatures.length]).toEqual([1, 0, 1])
})

test('an ID-JAG whose typ has its prefix and another case, and without a resource, is accepted', async () => {
  const { source } = await startEnterprise((answer) => ({
    ...claims({ resource: undefined })(answer),
    header: { typ: 'application/OAuth-ID-JAG+jwt' },
  }))
  expect(decodeJwt(await source().token()).aud).toBe(resource)
})

test('the authorization server refuses an ID-JAG that was replayed, expired, stolen, forged or mistyped', async () => {
  const { as, idp, sign, source } = await startEnterprise()
  const now = Math.floor(Date.now() / 1000)
  const answer = (jti: string, changes: Record<string, unknown> = {}) => ({
    header: { typ: ID_JAG_TYP },
    claims: {
      ...{ iss: idp.issuer, sub: user, aud: as.issuer, client_id: 'agent-at-as', resource },
      ...{ jti, iat: now, exp: now + 300, ...changes },
    },
  })
  const send = (idJag: string) => source({ grant: jwtBearer(() => idJag), retries: 0 }).token()
  const honest = await sign(answer('1'))
  expect(decodeJwt(await send(honest)).sub).toBe(user)
  const { privateKey } = await issuerKey()
  const forged = new SignJWT(answer('2').claims).setProtectedHeader({
    ...{ alg: 'ES256', typ: ID_JAG_TYP },
  })
  const attacks = {
    replayed: honest,
    expired: await sign(answer('3', { exp: now - 1 })),
    'of another client': await sign(answer('4', { client_id: 'other' })),
    'for another resource': await sign(answer('5', { resource: 'https://other.test' })),
    'for another audience': await sign(answer('6', { aud: 'https://other.test' })),
    'of another issuer': await sign(answer('7', { iss: 'https://other.test' })),
    mistyped: await sign({ ...answer('8'), header: { typ: 'JWT' } }),
    forged: await forged.sign(privateKey),
  }
  for (const [name, idJag] of Object.entries(attacks)) {
    const { error } = await refusal(() => send(idJag))
    expect({ name, error }).toEqual({ name, error: 'invalid_grant' })
  }
  expect(as.counters.token).toBe(1 + Object.keys(attacks).length)
})

/** An identity provider that answers the token exchange by a script; the client authenticates by a secret. */
async function startIdp(token: Script) {
  const idp = closing(await startScriptedAuthorizationServer({ token }))
  const enterprise = await startEnterprise()
  const authentication = clientSecretBasic('secret of the client')
  const client = { issuer: idp.url, clientId: 'agent-at-idp', authentication }
  const subjectToken = () => 's3cret.of.user'
  const grant = identityAssertion({ idp: client, subjectToken })
  const exchanges = () => idp.requests.filter(({ path }) => path === '/token').length
  return { as: enterprise.as, source: enterprise.source, grant, exchanges }
}

test('an identity provider that is unavailable is asked again as the authorization server would be', async () => {
  const busy = () => new Response(null, { status: 503 })
  const { as, grant, exchanges, source } = await startIdp(busy)
  const clock = startClock()
  const agent = source({ grant, retries: 1, now: clock.now })
  for (let turn = 0; turn < 20; turn += 1) {
    expect((await refusal(() => agent.token())).code).toBe('ERR_OAUTH_UNAVAILABLE')
  }
  // Three renewals with one further attempt each; then the delay begins.
  expect([exchanges(), as.counters.token]).toEqual([6, 0])
  clock.advance(60)
  await refusal(() => agent.token())
  expect(exchanges()).toBe(8)
})

test('a key that was replaced at the identity provider is loaded again, and one more request is sent', async () => {
  const { as, client, idp, signers, source, idToken } = await startEnterprise()
  const keys = [await es256Signer(), signers.idp]
  const authentication = privateKeyJwt(rotating(async () => keys.shift() ?? signers.idp))
  const grant = identityAssertion({ idp: { ...client, authentication }, subjectToken: idToken })
  await source({ grant }).token()
  expect(idp.tokenRequests.map(({ status }) => status)).toEqual([401, 200])
  expect(as.counters.token).toBe(1)
})

test('the deadline of the renewal includes a user’s token that does not come', async () => {
  const { idp, source } = await startEnterprise()
  const agent = source({ timeoutSeconds: 0.2 }, () => new Promise(() => {}))
  expect((await refusal(() => agent.token())).code).toBe('ERR_OAUTH_TIMEOUT')
  expect(idp.counters.token).toBe(0)
})

test('the deadline of the renewal includes an identity provider that does not answer', async () => {
  const { as, grant, source } = await startIdp(() => () => {})
  const error = await refusal(() => source({ grant, timeoutSeconds: 0.2 }).token())
  expect([error.code, as.counters.token]).toEqual(['ERR_OAUTH_TIMEOUT', 0])
})

test('a refusal of the identity provider reaches the caller, without the user’s token in it', async () => {
  const { as, grant, source } = await startIdp(({ form }) => {
    const error = 'insufficient_user_authentication'
    const error_description = `of ${form.get('subject_token')}`
    return Response.json({ error, error_description }, { status: 400 })
  })
  const error = await refusal(() => source({ grant }).token())
  expect(error).toMatchObject({
    code: 'ERR_OAUTH_RESPONSE',
    error: 'insufficient_user_authentication',
    error_description: 'of [redacted]',
  })
  expect(error.message).not.toContain('s3cret')
  expect(as.counters.token).toBe(0)
})

test('the user’s token is not asked for when a server does not accept the client’s authentication', async () => {
  const { client, source } = await startEnterprise()
  let calls = 0
  const subjectToken = () => {
    calls += 1
    return 'token'
  }
  const idp = { ...client, authentication: publicClient() }
  const atIdp = source({ grant: identityAssertion({ idp, subjectToken }) })
  expect((await refusal(() => atIdp.token())).code).toBe('ERR_OAUTH_METHOD_NOT_ADVERTISED')
  const atAs = source({ authentication: publicClient() }, subjectToken)
  expect((await refusal(() => atAs.token())).code).toBe('ERR_OAUTH_METHOD_NOT_ADVERTISED')
  expect(calls).toBe(0)
})

test('metadata of another identity provider, or over plain http elsewhere, gets no user’s token', async () => {
  const { client, source } = await startEnterprise()
  let calls = 0
  const subjectToken = () => {
    calls += 1
    return 'token'
  }
  const { authentication } = client
  const hostile = closing(
    await startScriptedAuthorizationServer({ metadata: { issuer: client.issuer } }),
  )
  for (const [issuer, code] of [
    [hostile.url, 'ERR_OAUTH_ISSUER_MISMATCH'],
    ['http://192.0.2.1', 'ERR_OAUTH_INSECURE_ENDPOINT'],
  ] as const) {
    const idp = { issuer, clientId: 'agent', authentication }
    const agent = source({ grant: identityAssertion({ idp, subjectToken }) })
    expect((await refusal(() => agent.token())).code).toBe(code)
  }
  expect([calls, hostile.credentials]).toEqual([0, []])
})

test('the metadata of the identity provider is discovered again after a wrong answer', async () => {
  const idp = closing(
    await startScriptedAuthorizationServer({ token: () => new Response('moved', { status: 404 }) }),
  )
  const { source } = await startEnterprise()
  const { requests, url: issuer } = idp
  const discoveries = () => requests.filter(({ path }) => path.includes('well-known')).length
  const authentication = clientSecretBasic('secret of the client')
  const metadata = { issuer, token_endpoint: `${issuer}/token` }
  const client = { issuer, clientId: 'agent', authentication, metadata }
  const seen: unknown[] = []
  const subjectToken: TokenProvider = (as, { clientId, issuer }) => {
    seen.push([as.issuer, clientId, issuer])
    return 'token'
  }
  const grant = identityAssertion({ idp: client, subjectToken })
  const agent = source({ grant, retries: 0 })
  expect((await refusal(() => agent.token())).code).toBe('ERR_OAUTH_INVALID_RESPONSE')
  expect(discoveries()).toBe(0)
  await refusal(() => agent.token())
  expect(discoveries()).toBe(1)
  // The function learns who gets the token.
  expect(new Set(seen.map(String))).toEqual(new Set([String([issuer, 'agent', issuer])]))
})

test.for([
  ['within', 59, 0],
  ['after', 61, 1],
] as const)(
  'the given metadata of the identity provider: %s its lifetime',
  async ([, age, times]) => {
    const clock = startClock()
    const { client, idp, source, idToken } = await startEnterprise()
    const { issuer } = idp
    const methods = { token_endpoint_auth_methods_supported: ['private_key_jwt'] }
    const metadata = { issuer, token_endpoint: idp.metadata.token_endpoint, ...methods }
    const lifetime = { metadata, metadataLifetimeSeconds: 60 }
    const grant = identityAssertion({ idp: { ...client, ...lifetime }, subjectToken: idToken })
    const agent = source({ grant, now: clock.now })
    agent.invalidate(await agent.token())
    clock.advance(age)
    await agent.token()
    expect(idp.counters.discovery).toBe(times)
  },
)

test.for([
  'urn:ietf:params:oauth:token-type:saml2',
  'urn:ietf:params:oauth:token-type:refresh_token',
])('the user’s token may be of another type: %s', async (subjectTokenType) => {
  const { client, idp, source, idToken } = await startEnterprise()
  const grant = identityAssertion({ idp: client, subjectToken: idToken, subjectTokenType })
  await source({ grant }).token()
  expect(idp.tokenRequests[0]?.form['subject_token_type']).toBe(subjectTokenType)
})

test('options of another type are refused', async () => {
  const idp = { issuer: 'https://idp.test', clientId: 'agent', authentication: publicClient() }
  const subjectToken = () => 'token'
  const metadata = { issuer: 'https://other.test' }
  expect(() => identityAssertion({ subjectToken } as never)).toThrow(TypeError)
  expect(() => identityAssertion({ idp, subjectToken: 'token' as never })).toThrow(TypeError)
  expect(() => identityAssertion({ idp, subjectToken, subjectTokenType: '' })).toThrow(TypeError)
  for (const changes of [
    { issuer: '' },
    { clientId: '' },
    { authentication: undefined },
    { metadataLifetimeSeconds: 0 },
  ]) {
    const changed = { ...idp, ...changes } as typeof idp
    expect(() => identityAssertion({ idp: changed, subjectToken })).toThrow(TypeError)
  }
  const mismatch = () => identityAssertion({ idp: { ...idp, metadata }, subjectToken })
  expect((await refusal(mismatch)).code).toBe('ERR_OAUTH_ISSUER_MISMATCH')
})
