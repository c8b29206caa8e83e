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
import { hang, inTurn, tokenResponse, tooManyRequests } from '../servers/token-responses.js'
import { refusal, renewalsOf } from './fixtures.ts'
import { numberedTokens, startTokenSource } from './servers.ts'

const never = new Promise<never>(() => {})

function hangingSigner(): Signer {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return createSigner({ name: 'hanging', alg: 'ES256', publicKey, sign: () => never })
}

/** Sends a byte every 20 ms without end. */
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
  ['metadata that never arrives', { options: { fetch: () => never } }],
  [
    'a fetch that ignores the signal',
    { options: { fetch: (url, init) => (init?.method === 'POST' ? never : fetch(url, init)) } },
  ],
  ['a key service that never answers', { authentication: () => privateKeyJwt(hangingSigner()) }],
  [
    'an external assertion that is never made',
    { authentication: () => externalAssertion(() => never) },
  ],
  ['a secret that is never returned', { authentication: () => clientSecretBasic(() => never) }],
  ['a grant that is never made', { options: { grant: () => never } }],
]

describe('the deadline', () => {
  it.each(hanging)('ends the wait for %s', async (_what, { token, options, authentication }) => {
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

  it('is the error when an authentication fails because of it', async () => {
    const authentication: ClientAuthentication = Object.assign(
      (...[, , , , options]: Parameters<ClientAuthentication>) =>
        new Promise<void>((_resolve, reject) => {
          options?.signal?.addEventListener('abort', () => reject(new Error('aborted')))
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

  it('does not prevent the next renewal', async () => {
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

  it('ends the wait for a later attempt that hangs', async () => {
    const { source, tokenRequests } = await startTokenSource(
      inTurn(
        () => tooManyRequests('0'),
        () => hang,
      ),
      { timeoutSeconds: 1 },
    )
    expect((await refusal(() => source.token())).code).toBe('ERR_OAUTH_TIMEOUT')
    expect(tokenRequests()).toHaveLength(2)
  })

  it('leaves an attempt as much time as the delay before it, or the error is thrown at once', async () => {
    const { source, tokenRequests } = await startTokenSource(() => tooManyRequests('2'), {
      timeoutSeconds: 3,
    })
    const start = performance.now()
    expect(await refusal(() => source.token())).toMatchObject({ status: 429 })
    expect(performance.now() - start).toBeLessThan(1000)
    expect(tokenRequests()).toHaveLength(1)
  })

  it.each([0, -1, Number.NaN, 601, '30'])('cannot be %j', async (timeoutSeconds) => {
    const options = { timeoutSeconds } as Partial<TokenSourceOptions>
    const start = () => startTokenSource(() => tokenResponse(), options)
    await expect(start()).rejects.toThrow(TypeError)
  })
})
