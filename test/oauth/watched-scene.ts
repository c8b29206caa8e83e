import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { clientSecretBasic, type TokenMessage, type TokenSourceOptions } from '@countersign/oauth'
import { onTestFinished } from 'vitest'
import type { Script } from '../servers/scripted-server.js'
import { type Scene, startScene, until } from './fixtures.ts'

/** A scene in which renewals in the background can be waited for. */
export interface WatchedScene extends Scene {
  /** Asks for a token, and waits for the end of the renewal that this began in the background, if it did. */
  ask(): Promise<{ token: string; renewal: TokenMessage | undefined }>
}

export async function startWatchedScene(
  token?: Script,
  options: Partial<TokenSourceOptions> = {},
): Promise<WatchedScene> {
  let begun = 0
  const authentication = clientSecretBasic(() => {
    begun += 1
    return 'secret'
  })
  const scene = await startScene(token, { authentication, ...options })
  const ended: TokenMessage[] = []
  const listener = (message: unknown) => {
    const renewal = message as TokenMessage
    if (renewal.issuer === scene.as.url) ended.push(renewal)
  }
  subscribe('countersign:token', listener)
  onTestFinished(() => void unsubscribe('countersign:token', listener))
  return {
    ...scene,
    async ask() {
      const before = { begun, ended: ended.length }
      const token = await scene.source.token()
      // A renewal gets as far as to its authentication without waiting for anything from outside.
      await new Promise(setImmediate)
      if (begun > before.begun) await until(() => ended.length > before.ended)
      return { token, renewal: ended[before.ended] }
    },
  }
}
