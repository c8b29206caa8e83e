import { privateKeyJwt, tokenSource } from '@countersign/oauth'
import { expect, test } from 'vitest'
import { startScriptedAuthorizationServer } from '../servers/hostile-authorization-server.js'
import { errorResponse } from '../servers/token-responses.js'
import { closing, es256Signer, refusal } from './fixtures.ts'

test.each<[string, string, Record<string, string>, number]>([
  ['refuses every nonce', 'use_dpop_nonce', { 'dpop-nonce': 'n1' }, 2],
  ['asks for a nonce and offers none', 'use_dpop_nonce', {}, 1],
  ['offers a nonce and refuses something else', 'invalid_scope', { 'dpop-nonce': 'n1' }, 1],
])(
  'a server that %s (%s %o) gets this many token requests: %i',
  async (_what, error, headers, count) => {
    const as = closing(
      await startScriptedAuthorizationServer({
        metadata: { dpop_signing_alg_values_supported: ['ES256'] },
        token() {
          const response = errorResponse(error)
          for (const [name, value] of Object.entries(headers)) response.headers.set(name, value)
          return response
        },
      }),
    )
    const authentication = privateKeyJwt(await es256Signer())
    const source = tokenSource({ issuer: as.url, clientId: 'agent', authentication, dpop: true })
    expect(await refusal(() => source.token())).toMatchObject({ error })
    expect(as.requests.filter(({ path }) => path === '/token')).toHaveLength(count)
  },
)
