import { dpopSession } from '@countersign/oauth'
import { expect, test } from 'vitest'
import { services } from '../clouds/services.ts'
import { closing, startClock } from '../oauth/fixtures.ts'
import { startDpopServers } from './servers.ts'

test.each([
  ['when its token has expired', 'supported', 'expired', 1],
  ['when its token has expired and the nonce is known', 'nonce', 'expired', 1],
  ['without a token', 'supported', 'none', 1],
  ['without a token, and with a first nonce', 'nonce', 'none', 2],
] as const)(
  '100 calls at once of a client with a key in AWS KMS, %s',
  async (_when, dpop, token, expected) => {
    const service = closing(await services['AWS KMS']())
    const signer = await service.load()
    const { source, as, resource, url } = await startDpopServers(dpop, { signer })
    const clock = startClock()
    // The proofs have the time of the servers.
    const bound = source({ now: clock.now, dpop: { session: dpopSession() } })
    if (token === 'expired') {
      await bound.fetch(url)
      clock.advance(3600)
    }
    service.reset()
    as.forget()
    resource.proofs.length = 0

    const responses = await Promise.all(Array.from({ length: 100 }, () => bound.fetch(url)))
    expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([200]))
    expect(service.calls()).toEqual(Array(expected).fill('signature'))
    expect(as.counters.token).toBe(expected)
    const assertions = as.tokenRequests.map(({ assertion }) => assertion?.claims.jti)
    expect(new Set(assertions).size).toBe(expected)
    expect(new Set(resource.proofs).size).toBe(100)
  },
)
