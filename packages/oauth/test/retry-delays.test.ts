import { setTimeout as sleep } from 'node:timers/promises'
import { clientSecretBasic, tokenSource } from '@countersign/oauth'
import { afterEach, expect, it, vi } from 'vitest'
import { metadata } from './fixtures.ts'

vi.mock('node:timers/promises', () => ({ setTimeout: vi.fn(async () => {}) }))

afterEach(() => {
  vi.restoreAllMocks()
  vi.mocked(sleep).mockClear()
})

/** Returns the milliseconds between the attempts for a token from a server that is unavailable. */
async function delays(retryAfter: string | undefined, random: number): Promise<unknown[]> {
  vi.spyOn(Math, 'random').mockReturnValue(random)
  const headers = retryAfter === undefined ? {} : { 'retry-after': retryAfter }
  const source = tokenSource({
    issuer: 'https://as.test',
    clientId: 'agent',
    authentication: clientSecretBasic('secret'),
    metadata: metadata(),
    retries: 4,
    timeoutSeconds: 30,
    fetch: async () => new Response(null, { status: 503, headers }),
  })
  await expect(source.token()).rejects.toMatchObject({ code: 'ERR_OAUTH_UNAVAILABLE' })
  return vi.mocked(sleep).mock.calls.map(([milliseconds]) => milliseconds)
}

it('the delay before a retry doubles from a quarter of a second, shortened at random by up to half', async () => {
  expect(await delays(undefined, 0)).toEqual([125, 250, 500, 1000])
  vi.mocked(sleep).mockClear()
  expect(await delays(undefined, 1)).toEqual([250, 500, 1000, 2000])
})

it.each([
  ['0', 0, [125, 250, 500, 1000]],
  ['0.3', 0, [300, 300, 500, 1000]],
  ['2', 0, [2000, 2000, 2000, 2000]],
  ['2', 1, [2500, 2500, 2500, 2500]],
  ['14', 0, [14_000, 14_000, 14_000, 14_000]],
  ['16', 0, []],
  ['14', 1, []],
])(
  'the delays after "Retry-After: %s" with the random number %j are %j',
  async (value, random, expected) => {
    expect(await delays(value, random)).toEqual(expected)
  },
)
