import { generateKeyPairSync } from 'node:crypto'
import { createSigner, type Signer } from '@countersign/core'
import {
  type ClientAuthentication,
  clientSecretBasic,
  externalAssertion,
  privateKeyJwt,
  type TokenSourceOptions,
} from '@countersign/oauth'
import { describe, expect, it } from 'vitest'
import type { Script } from '../servers/scripted-server.js'
import { hang, inTurn, tokenResponse } from '../servers/token-responses.js'
import { refusal, renewalsOf } from './fixtures.ts'
import { numberedTokens, startTokenSource } from './servers.ts'

const never = new Promise<never>(() => {})

function hangingSigner(): Signer {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return createSigner({ name: 'hanging', alg: 'ES256', publicKey, sign: () => never })
}

/** Sends a byte now and then, for ever. */
const drip: Script = () => (response) => {
  response.writeHead(200, { 'content-type': 'application/json' })
  const timer = setInterval(() => response.write(' '), 20)
  response.on('close', () => clearInterval(timer))
}

interface Hanging {
  readonly token?: Script
  readonly options?: Partial<TokenSourceOptions>
  readonly authentication?: () => ClientAuthentication
}

const hanging: [string, Hanging][] = [
  ['a token endpoint that never answers', { token: () => hang }],
  ['a token endpoint that answers a byte at a time', { token: drip }],
  ['metadata that never comes', { options: { fetch: () => never } }],
  [
    'a fetch that heeds no signal',
    { options: { fetch: (url, init) => (init?.method === 'POST' ? never : fetch(url, init)) } },
  ],
  ['a key service that never answers', { authentication: () => privateKeyJwt(hangingSigner()) }],
  [
    'an external assertion that never comes',
    { authentication: () => externalAssertion(() => never) },
  ],
  ['a secret that never comes', { authentication: () => clientSecretBasic(() => never) }],
  ['a grant that never comes', { options: { grant: () => never } }],
]

describe('the deadline', () => {
  it.each(hanging)('ends waiting for %s', async (_what, { token, options, authentication }) => {
    const { source, tokenRequests } = await startTokenSource(token, {
      timeoutSeconds: 0.15,
      ...(authentication && { authentication: authentication() }),
      ...options,
    })
    const start = performance.now()
    const renewals = await renewalsOf(async () => {
      const error = await refusal(() => source.token())
      expect(error).toMatchObject({ code: 'ERR_OAUTH_TIMEOUT', retryable: true })
    })
    expect(performance.now() - start).toBeLessThan(2000)
    expect(tokenRequests().length).toBeLessThanOrEqual(1)
    expect(renewals).toMatchObject([{ outcome: 'failed', code: 'ERR_OAUTH_TIMEOUT' }])
  })

  it('is what the caller is told when an authentication fails because of it', async () => {
    const authentication: ClientAuthentication = Object.assign(
      (...[, , , , options]: Parameters<ClientAuthentication>) =>
        new Promise<void>((_resolve, reject) => {
          options?.signal?.addEventListener('abort', () => reject(new Error('gave up')))
        }),
      { method: 'private_key_jwt' as const },
    )
    const { source, tokenRequests } = await startTokenSource(undefined, {
      timeoutSeconds: 0.15,
      authentication,
    })
    expect((await refusal(() => source.token())).code).toBe('ERR_OAUTH_TIMEOUT')
    expect(tokenRequests()).toEqual([])
  })

  it('is no end: the next caller is served', async () => {
    const tokens = inTurn(() => hang, numberedTokens() as () => Response)
    const { source } = await startTokenSource(tokens, { timeoutSeconds: 0.15 })
    expect((await refusal(() => source.token())).code).toBe('ERR_OAUTH_TIMEOUT')
    expect(await source.token()).toBe('token-1')
  })

  it('bounds all attempts together', async () => {
    const { source, tokenRequests } = await startTokenSource(
      () => Response.json({}, { status: 503, headers: { 'retry-after': '0' } }),
      {
        timeoutSeconds: 0.3,
        retries: 10,
        fetch: async (url, init) => {
          await new Promise((resolve) => setTimeout(resolve, 80))
          return fetch(url, init)
        },
      },
    )
    const start = performance.now()
    await refusal(() => source.token())
    expect(performance.now() - start).toBeLessThan(2000)
    expect(tokenRequests().length).toBeLessThan(5)
  })

  it.each([0, -1, Number.NaN, 601, '30'])('cannot be %j', async (timeoutSeconds) => {
    const options = { timeoutSeconds } as Partial<TokenSourceOptions>
    const start = () => startTokenSource(() => tokenResponse(), options)
    await expect(start()).rejects.toThrow(TypeError)
  })
})
