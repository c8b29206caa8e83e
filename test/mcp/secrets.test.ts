import { generateKeyPairSync } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { inspect } from 'node:util'
import { jwks } from '@countersign/core'
import { localSigner } from '@countersign/local'
import { type ClientCredentialsProvider, clientCredentialsProvider } from '@countersign/mcp'
import {
  type ClientAuthentication,
  clientSecretBasic,
  clientSecretPost,
  privateKeyJwt,
} from '@countersign/oauth'
import { describe, expect, it, vi } from 'vitest'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import { startScriptedResource } from '../servers/hostile-resource.js'
import { errorResponse } from '../servers/token-responses.js'
import { connect, majors, provide, ways } from './clients.ts'
import { closing } from './closing.ts'
import { newSigner, startServers } from './servers.ts'

/** Records everything that is published, printed, or passed to the SDK for storage. */
function overheard(provider: ClientCredentialsProvider): () => string {
  const heard: string[] = []
  const note = (...said: unknown[]) => {
    heard.push(...said.map((one) => inspect(one, { depth: 20, showHidden: true })))
  }
  const channels = ['countersign:sign', 'countersign:token']
  for (const name of channels) subscribe(name, note)
  closing({
    close() {
      for (const name of channels) unsubscribe(name, note)
    },
  })
  for (const method of ['log', 'info', 'warn', 'error', 'debug'] as const) {
    const spy = vi.spyOn(console, method).mockImplementation(note)
    closing({ close: () => spy.mockRestore() })
  }
  return () => {
    note(provider, provider.clientMetadata, provider.clientInformation())
    heard.push(JSON.stringify(provider), String(provider))
    return heard.join('\n')
  }
}

function expectNone(text: string, secrets: readonly string[]): void {
  expect(secrets.every((secret) => secret.length > 7)).toBe(true)
  expect(secrets.filter((secret) => text.includes(secret))).toEqual([])
}

describe.each(ways)('on SDK $major through $way', (way) => {
  it('key, passphrase, assertion and token are in no storage, output or diagnostics', async () => {
    const passphrase = 'passphrase-canary'
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const pem = privateKey.export({
      type: 'pkcs8',
      format: 'pem',
      cipher: 'aes-256-cbc',
      passphrase,
    })
    const signer = await localSigner({ key: pem, passphrase })
    const { as, mcp } = await startServers({ signer })
    await as.registerClient({
      client_id: 'agent',
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: jwks(signer),
    })
    const { provider, connection } = provide(way, mcp.url, {
      clientId: 'agent',
      authentication: privateKeyJwt(signer),
    })
    const said = overheard(provider)
    const client = closing(await connect(way.major, mcp.url, connection))
    mcp.revokeAll()
    await client.call('whoami')
    const tokens = mcp.requests.flatMap(({ bearer }) => bearer ?? [])
    const assertions = as.tokenRequests.map(({ form }) => String(form['client_assertion']))
    const [, body = ''] = pem.toString().split('\n')
    const { d } = privateKey.export({ format: 'jwk' })
    expect(assertions.length).toBeGreaterThan(1)
    const signatures = assertions.map((assertion) => assertion.split('.')[2] ?? '')
    expectNone(said(), [passphrase, body, String(d), ...assertions, ...signatures, ...tokens])
  })

  it('a secret is in no storage, output, diagnostics or error of a refusal', async () => {
    const secret = 'secret-canary'
    for (const authentication of [clientSecretBasic(secret), clientSecretPost(() => secret)]) {
      const { as, mcp } = await startServers()
      await as.registerClient({
        client_id: 'agent',
        client_secret: 'another-secret',
        token_endpoint_auth_method: authentication.method as 'client_secret_basic',
      })
      const { provider, connection } = provide(way, mcp.url, { clientId: 'agent', authentication })
      const said = overheard(provider)
      const error: unknown = await connect(way.major, mcp.url, connection).catch(
        (error: unknown) => error,
      )
      expect(error).toMatchObject({
        message: expect.stringContaining('client authentication failed'),
      })
      console.log(error)
      const encoded = Buffer.from(`agent:${secret}`).toString('base64')
      expectNone(said(), [secret, encoded])
    }
  })
})

describe.each(majors)('on SDK %s', (major) => {
  it.each([
    ['an assertion', async () => privateKeyJwt(await newSigner()), 'client_assertion'],
    ['a secret', async () => clientSecretPost('secret-canary'), 'client_secret'],
  ] as const)(
    'a server that repeats %s in its answer does not get it into an error',
    async (_what, make, parameter) => {
      const sent: string[] = []
      const as = closing(
        await startScriptedAuthorizationServer({
          token({ form }) {
            const secret = form.get(parameter) ?? ''
            sent.push(secret)
            return errorResponse('invalid_client', { description: `you sent ${secret}` })
          },
        }),
      )
      const resource = closing(await startScriptedResource({ authorizationServers: [as.url] }))
      const authentication: ClientAuthentication = await make()
      const provider = clientCredentialsProvider({ clientId: 'agent', authentication })
      const said = overheard(provider)
      const error: unknown = await connect(major, resource.url, { fetch: provider.fetch }).catch(
        (error: unknown) => error,
      )
      expect(error).toMatchObject({
        error: 'invalid_client',
        error_description: expect.stringMatching(/^you sent /),
      })
      console.log(error, JSON.stringify(error))
      expect(sent).toHaveLength(1)
      expectNone(said(), sent)
    },
  )
})
