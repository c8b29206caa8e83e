import { authorizationGrant } from '@countersign/core'
import {
  jwtBearer,
  privateKeyJwt,
  publicClient,
  tokenExchange,
  tokenSource,
} from '@countersign/oauth'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { expect, test } from 'vitest'
import { closing, es256Signer, refusal } from '../oauth/fixtures.ts'
import { numberedTokens } from '../oauth/servers.ts'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'

async function startServer(methods: string[]) {
  const as = closing(
    await startScriptedAuthorizationServer({
      metadata: { token_endpoint_auth_methods_supported: methods },
      token: numberedTokens(),
    }),
  )
  const forms = () => as.requests.filter(({ path }) => path === '/token').map(({ form }) => form)
  return { as, forms }
}

test('jwtBearer sends a new assertion with each request, and publicClient the client ID alone', async () => {
  const { as, forms } = await startServer(['none'])
  const signer = await es256Signer()
  const grant = jwtBearer(async ({ issuer }) => {
    const assertion = await authorizationGrant(signer, {
      ...{ issuer: 'https://idp.test', subject: 'workload', audience: issuer },
    })
    return `${assertion}\n`
  })
  const authentication = publicClient()
  const source = tokenSource({ issuer: as.url, clientId: 'agent', authentication, grant })
  source.invalidate(await source.token())
  await source.token()
  const keys = createLocalJWKSet({ keys: [{ ...signer.publicJwk }] })
  const assertions = forms().map((form) => form.get('assertion') ?? '')
  const expected = { audience: as.url, issuer: 'https://idp.test', subject: 'workload' }
  for (const assertion of assertions) await jwtVerify(assertion, keys, expected)
  expect(new Set(assertions).size).toBe(2)
  expect([...(forms()[0]?.keys() ?? [])].sort()).toEqual(['assertion', 'client_id', 'grant_type'])
  expect(forms()[0]?.get('grant_type')).toBe('urn:ietf:params:oauth:grant-type:jwt-bearer')
})

test('publicClient is refused by a server that does not list "none", before the grant is made', async () => {
  const { as, forms } = await startServer(['private_key_jwt'])
  let calls = 0
  const grant = jwtBearer(() => {
    calls += 1
    return 'a.b.c'
  })
  const authentication = publicClient()
  const source = tokenSource({ issuer: as.url, clientId: 'agent', authentication, grant })
  const { code } = await refusal(() => source.token())
  expect({ code, calls, forms: forms() }).toEqual({
    ...{ code: 'ERR_OAUTH_METHOD_NOT_ADVERTISED', calls: 0, forms: [] },
  })
})

test('tokenExchange sends the tokens and their types, with client authentication', async () => {
  const { as, forms } = await startServer(['private_key_jwt'])
  const grant = tokenExchange({
    subjectToken: async () => 'of the user',
    subjectTokenType: 'urn:ietf:params:oauth:token-type:id_token',
    actorToken: () => 'of the actor',
    actorTokenType: 'urn:ietf:params:oauth:token-type:jwt',
    requestedTokenType: 'urn:ietf:params:oauth:token-type:access_token',
    audience: 'invoices',
  })
  const authentication = privateKeyJwt(await es256Signer())
  await tokenSource({ issuer: as.url, clientId: 'agent', authentication, grant }).token()
  const [form] = forms()
  expect(form?.get('client_assertion')).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/)
  form?.delete('client_assertion')
  form?.delete('client_assertion_type')
  expect(Object.fromEntries(form ?? [])).toEqual({
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: 'of the user',
    subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
    actor_token: 'of the actor',
    actor_token_type: 'urn:ietf:params:oauth:token-type:jwt',
    requested_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    audience: 'invoices',
  })
})

test('a token that is not one is refused, and is not in the error', async () => {
  const { as, forms } = await startServer(['none'])
  for (const token of ['s3cret', '', undefined]) {
    const grant = jwtBearer(() => token as string)
    const authentication = publicClient()
    const source = tokenSource({ issuer: as.url, clientId: 'agent', authentication, grant })
    const error = await refusal(() => source.token())
    expect(error.code).toBe('ERR_OAUTH_ASSERTION')
    expect(error.message).not.toContain('s3cret')
  }
  expect(forms()).toEqual([])
})

test('options of another type are refused', () => {
  const subjectToken = () => 'token'
  expect(() => jwtBearer('a.b.c' as never)).toThrow(TypeError)
  expect(() => tokenExchange({ subjectToken, subjectTokenType: '' })).toThrow(TypeError)
  const options = { subjectToken, subjectTokenType: 'urn:x', actorTokenType: 'urn:y' }
  expect(() => tokenExchange(options)).toThrow(/"actorToken" must be a function/)
})
