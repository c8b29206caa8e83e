import { execFileSync } from 'node:child_process'
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { authorizationGrant } from '@countersign/core'
import { workloadIdentityProvider } from '@countersign/mcp'
import {
  clientSecretPost,
  externalAssertion,
  type GrantRequest,
  publicClient,
  tokenFile,
  tokenSource,
  workloadIdentity,
} from '@countersign/oauth'
import { expect, onTestFinished, test } from 'vitest'
import { closing, es256Signer, refusal, thrown } from '../oauth/fixtures.ts'
import { numberedTokens } from '../oauth/servers.ts'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import { type ScriptedServer, startScriptedServer } from '../servers/scripted-server.js'

const signer = await es256Signer()

/** A JWT of a platform. */
const platformJwt = (audience: string) =>
  authorizationGrant(signer, { issuer: 'https://platform.test', subject: 'pod', audience })

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-workload-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  return folder
}

async function startServer(methods: readonly string[] = ['none']) {
  const as = closing(
    await startScriptedAuthorizationServer({
      metadata: { token_endpoint_auth_methods_supported: methods },
      token: numberedTokens(),
    }),
  )
  const forms = () => as.requests.filter(({ path }) => path === '/token').map(({ form }) => form)
  return { as, forms }
}

test('the file is read again for each token request, also when a link to it was replaced', async () => {
  const { as, forms } = await startServer()
  const folder = temporaryFolder()
  const [first, second] = [await platformJwt(as.url), await platformJwt(as.url)]
  writeFileSync(join(folder, '1'), `${first}\n`)
  writeFileSync(join(folder, '2'), second)
  const file = join(folder, 'token')
  symlinkSync('1', file)
  const source = tokenSource({
    ...{ issuer: as.url, clientId: 'pod' },
    authentication: publicClient(),
    grant: workloadIdentity({ file }),
  })
  source.invalidate(await source.token())
  symlinkSync('2', join(folder, 'next'))
  renameSync(join(folder, 'next'), file)
  await source.token()
  expect(forms().map((form) => Object.fromEntries(form))).toEqual(
    [first, second].map((assertion) => ({
      client_id: 'pod',
      grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
      assertion,
    })),
  )
})

test('a function gets the metadata of the authorization server, and the request with its deadline', async () => {
  const { as, forms } = await startServer()
  let seen: GrantRequest | undefined
  const token = (server: { readonly issuer: string }, request: GrantRequest) => {
    seen = request
    return platformJwt(server.issuer)
  }
  const grant = workloadIdentity({ token })
  const client = { issuer: as.url, clientId: 'pod', authentication: publicClient() }
  const resource = 'https://mcp.test/mcp'
  await tokenSource({ ...client, grant, scope: 'use', resource }).token()
  expect(seen).toMatchObject({ clientId: 'pod', issuer: as.url, scope: 'use', resource })
  expect(seen?.signal).toBeInstanceOf(AbortSignal)
  expect(forms()).toHaveLength(1)
})

test('a file that has no token is refused at once, by its path and without its content', async () => {
  const folder = temporaryFolder()
  const path = (name: string) => join(folder, name)
  execFileSync('mkfifo', [path('fifo')])
  writeFileSync(path('empty'), ' \n')
  writeFileSync(path('huge'), `s3cret${'x'.repeat(64 * 1024)}`)
  for (const [name, reason] of [
    ['missing', 'cannot be opened (ENOENT)'],
    ['fifo', 'is not a regular file'],
    ['.', 'is not a regular file'],
    ['empty', 'is empty'],
    ['huge', 'has more than 65536 octets'],
  ] as const) {
    const error = await refusal(() => tokenFile(path(name))())
    expect(error.code).toBe('ERR_OAUTH_ASSERTION')
    expect(error.message).toContain(`The token file ${JSON.stringify(path(name))} ${reason};`)
    expect(error.message).not.toContain('s3cret')
  }
})

test('a file that is not a JWT is not sent', async () => {
  const { as, forms } = await startServer()
  const file = join(temporaryFolder(), 'token')
  writeFileSync(file, 's3cret')
  const grant = workloadIdentity({ file })
  const client = { issuer: as.url, clientId: 'pod', authentication: publicClient() }
  const error = await refusal(() => tokenSource({ ...client, grant }).token())
  expect(error.code).toBe('ERR_OAUTH_ASSERTION')
  expect(error.message).not.toContain('s3cret')
  expect(forms()).toEqual([])
})

test('not exactly one of file and token is refused', () => {
  expect(() => workloadIdentity({} as never)).toThrow(TypeError)
  expect(() => workloadIdentity({ file: '/t', token: () => 't' } as never)).toThrow(TypeError)
  expect(() => workloadIdentity({ file: '' })).toThrow(TypeError)
  expect(() => workloadIdentity({ token: 'a.b.c' as never })).toThrow(TypeError)
  expect(() => workloadIdentityProvider({ clientId: 'pod' } as never)).toThrow(TypeError)
})

/** An MCP server that names an authorization server, and accepts every token. */
async function startMcpServer(authorizationServer: string): Promise<ScriptedServer> {
  const mcp: ScriptedServer = closing(
    await startScriptedServer(({ path, headers }) => {
      if (path.startsWith('/.well-known/')) {
        const servers = { authorization_servers: [authorizationServer] }
        return Response.json({ resource: `${mcp.url}/mcp`, ...servers })
      }
      const status = headers.authorization === undefined ? 401 : 200
      return new Response(null, { status, headers: { 'www-authenticate': 'Bearer' } })
    }),
  )
  return mcp
}

test('without a pin, the platform’s JWT is not sent to a server that it is not for', async () => {
  const { as, forms } = await startServer()
  const mcp = await startMcpServer(as.url)
  const send = async (audience: string, issuer?: string) => {
    const jwt = await platformJwt(audience)
    const provider = workloadIdentityProvider({ clientId: 'pod', issuer, token: () => jwt })
    return provider.fetch(`${mcp.url}/mcp`, { method: 'POST', body: '{}' })
  }
  const { code, message } = await refusal(() => send('https://honest.test'))
  expect({ code, sent: forms().length }).toEqual({ code: 'ERR_OAUTH_AUDIENCE', sent: 0 })
  expect(message).toContain('"https://honest.test"')
  expect((await send(as.url)).status).toBe(200)
  expect((await send('api://platform', as.url)).status).toBe(200)
  expect(forms()).toHaveLength(2)
})

test('the provider asks the platform for no JWT for a server that demands client authentication', async () => {
  const { as } = await startServer(['private_key_jwt'])
  const mcp = await startMcpServer(as.url)
  let calls = 0
  const token = () => {
    calls += 1
    return 'a.b.c'
  }
  const provider = workloadIdentityProvider({ clientId: 'pod', token })
  const { code } = await refusal(() => provider.fetch(`${mcp.url}/mcp`))
  expect({ code, calls }).toEqual({ code: 'ERR_OAUTH_METHOD_NOT_ADVERTISED', calls: 0 })
  expect(provider.clientMetadata).toMatchObject({
    grant_types: ['urn:ietf:params:oauth:grant-type:jwt-bearer'],
    token_endpoint_auth_method: 'none',
  })
})

test('the provider authenticates the client in addition, if an authentication is given', async () => {
  const { as, forms } = await startServer(['client_secret_post'])
  const mcp = await startMcpServer(as.url)
  const token = () => platformJwt(as.url)
  const authentication = clientSecretPost('secret of the client')
  const provider = workloadIdentityProvider({ clientId: 'pod', token, authentication })
  expect((await provider.fetch(`${mcp.url}/mcp`, { method: 'POST' })).status).toBe(200)
  expect(Object.fromEntries(forms()[0] ?? [])).toMatchObject({
    grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
    client_secret: 'secret of the client',
  })
})

test('a JWT-SVID is sent with its own assertion type, to a server that lists spiffe_jwt', async () => {
  const { as, forms } = await startServer(['spiffe_jwt'])
  const file = join(temporaryFolder(), 'svid.jwt')
  const svid = await platformJwt(as.url)
  writeFileSync(file, svid)
  const source = (type?: 'jwt-spiffe') =>
    tokenSource({
      ...{ issuer: as.url, clientId: 'spiffe://example.org/agent' },
      authentication: externalAssertion(tokenFile(file), { type }),
    })
  await source('jwt-spiffe').token()
  expect(Object.fromEntries(forms()[0] ?? [])).toEqual({
    grant_type: 'client_credentials',
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-spiffe',
    client_assertion: svid,
  })
  const { code } = await refusal(() => source().token())
  expect({ code, sent: forms().length }).toEqual({
    ...{ code: 'ERR_OAUTH_METHOD_NOT_ADVERTISED', sent: 1 },
  })
})

test('a JWT-SVID for another server is not sent without a pin', async () => {
  const authentication = externalAssertion(() => platformJwt('https://honest.test'), {
    type: 'jwt-spiffe',
  })
  const as = {
    issuer: 'https://as.test',
    token_endpoint: 'https://as.test/token',
    token_endpoint_auth_methods_supported: ['spiffe_jwt'],
  }
  const body = new URLSearchParams()
  const send = () => authentication(as, { client_id: 'agent' }, body, new Headers())
  expect((await refusal(send)).code).toBe('ERR_OAUTH_AUDIENCE')
  expect([...body]).toEqual([])
  const other = () => externalAssertion(() => '', { type: 'saml2-bearer' as never })
  expect(await thrown(other)).toBeInstanceOf(TypeError)
})
