import {
  discoverAuthorizationServer,
  discoverProtectedResource,
  type Fetch,
} from '@countersign/oauth'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { startScriptedServer } from '../servers/scripted-server.js'
import { hang } from '../servers/token-responses.js'
import { closing, refusal, thrown } from './fixtures.ts'

const discoveries = [
  ['an authorization server', discoverAuthorizationServer],
  ['a resource', discoverProtectedResource],
] as const

const deaf: Fetch = () => new Promise(() => {})

/** Lets time limits pass a thousand times faster, and returns those that are set, in milliseconds. */
function hurry(): number[] {
  const limits: number[] = []
  const { timeout } = AbortSignal
  const spy = vi.spyOn(AbortSignal, 'timeout').mockImplementation((milliseconds) => {
    limits.push(milliseconds)
    return timeout.call(AbortSignal, Math.ceil(milliseconds / 1000))
  })
  onTestFinished(() => spy.mockRestore())
  return limits
}

describe.each(discoveries)('the metadata of %s that never comes', (_what, discover) => {
  it('is given up after thirty seconds, when there is no signal', async () => {
    const server = closing(await startScriptedServer(() => hang))
    const limits = hurry()
    const error = await refusal(() => discover(server.url))
    expect(error).toMatchObject({ code: 'ERR_OAUTH_TIMEOUT', retryable: true })
    expect((await refusal(() => discover(server.url, { fetch: deaf }))).code).toBe(error.code)
    expect(limits).toEqual([30_000, 30_000])
  })

  it('is given up when the signal of the caller aborts, although the fetch ignores it', async () => {
    const limits = hurry()
    const controller = new AbortController()
    const { signal } = controller
    const caught = thrown(() => discover('https://api.test', { fetch: deaf, signal }))
    controller.abort('enough')
    expect(await caught).toBe('enough')
    expect(limits).toEqual([])
  })
})
