import { discoverAuthorizationServer } from '@countersign/oauth'
import { afterEach, expect, test } from 'vitest'
import { type LoopbackServer, listenOnLoopback } from '../servers/loopback.js'

let server: LoopbackServer | undefined
afterEach(() => server?.close())

test.each([
  [404, 'ERR_OAUTH_DISCOVERY', '{}'],
  [503, 'ERR_OAUTH_UNAVAILABLE', '{}'],
  [200, 'ERR_OAUTH_DISCOVERY', '{}'],
  [200, 'ERR_OAUTH_ISSUER_MISMATCH', '{"issuer":"https://other.example"}'],
])(
  'an issuer that a resource made up cannot write into a log: status %i, %s',
  async (status, code, body) => {
    server = await listenOnLoopback((_, response) => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(body)
    })
    const issuer = `${server.origin}/tenant\u001b[2J\nforged log line${'x'.repeat(2000)}`
    const error = await discoverAuthorizationServer(issuer).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code })
    expect((error as Error).message).toMatch(/^[\x20-\x7e…]{1,1200}$/)
  },
)
