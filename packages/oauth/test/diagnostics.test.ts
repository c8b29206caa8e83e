import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { externalAssertion, type TokenMessage, tokenSource } from '@countersign/oauth'
import { expect, it } from 'vitest'
import { metadata } from './fixtures.ts'

async function messageAbout(reason: unknown): Promise<TokenMessage | undefined> {
  const messages: TokenMessage[] = []
  const listener = (message: unknown) => void messages.push(message as TokenMessage)
  const source = tokenSource({
    issuer: 'https://as.test',
    clientId: 'agent',
    authentication: externalAssertion(() => Promise.reject(reason)),
    metadata: metadata(),
  })
  subscribe('countersign:token', listener)
  await source.token().catch(() => {})
  unsubscribe('countersign:token', listener)
  expect(messages).toHaveLength(1)
  return messages[0]
}

const failed = {
  issuer: 'https://as.test',
  clientId: 'agent',
  background: false,
  durationSeconds: expect.any(Number),
  outcome: 'failed',
}

it('a failed renewal is published with the code of its error', async () => {
  const error = Object.assign(new Error('down'), { code: 'ERR_VAULT' })
  expect(await messageAbout(error)).toEqual({ ...failed, code: 'ERR_VAULT' })
})

it.each([new DOMException('aborted', 'AbortError'), new Error('down'), 'text', undefined])(
  'a failed renewal is published without a code for %s',
  async (reason) => {
    expect(await messageAbout(reason)).toEqual(failed)
  },
)
