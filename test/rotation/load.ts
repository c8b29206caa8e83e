import { type ClientAuthentication, tokenSource } from '@countersign/oauth'
import { expect, onTestFinished } from 'vitest'
import { until } from '../support/until.js'

/** Clients that ask for one access token after the other. */
export interface Load {
  /** Waits until so many more tokens were granted. */
  more(tokens: number): Promise<void>
  /** Ends it, and fails unless every single request was granted. */
  end(): Promise<void>
}

/** Starts clients that share one authentication, of which none tries anything a second time by itself. */
export function startLoad(
  { issuer }: { readonly issuer: string },
  clientId: string,
  authentication: ClientAuthentication,
  clients = 8,
): Load {
  let granted = 0
  let ended = false
  const failures: unknown[] = []

  async function run(): Promise<void> {
    const source = tokenSource({ issuer, clientId, authentication, retries: 0 })
    while (!ended) {
      try {
        source.invalidate(await source.token())
        granted++
      } catch (error) {
        failures.push(error)
        return
      }
    }
  }
  const running = Promise.all(Array.from({ length: clients }, run))
  onTestFinished(async () => {
    ended = true
    await running
  })
  return {
    async more(tokens) {
      const enough = granted + tokens
      await until(() => granted >= enough || failures.length > 0, 20)
      expect(failures).toEqual([])
    },
    async end() {
      ended = true
      await running
      expect(failures).toEqual([])
    },
  }
}
