import { join } from 'node:path'
import { agentTokens } from '@countersign/agent/internal'
import type { Signer } from '@countersign/core'
import { signerFromUri } from '@countersign/uri'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { ask, type Fixtures, name, startFixtures, writeKey } from './fixtures.ts'

let fixtures: Fixtures
beforeAll(async () => {
  fixtures = await startFixtures()
})
afterAll(() => fixtures[Symbol.asyncDispose]())

/** Starts an agent that records which keys are opened and closed, and signs only when it may. */
async function start(mayFinish: () => Promise<void> = async () => {}) {
  const log: string[] = []
  const agent = await fixtures.start({
    async openKey(uri, { signal }) {
      const signer = await signerFromUri(uri, { signal })
      const file = uri.replace(/^.*\//, '')
      log.push(`open ${file}`)
      return {
        ...signer,
        async sign(...args: Parameters<Signer['sign']>) {
          await mayFinish()
          return signer.sign(...args)
        },
        async close() {
          log.push(`close ${file}`)
          await signer.close()
        },
      } as Signer
    },
  })
  onTestFinished(() => agent.close())
  return { agent, log, tokens: agentTokens(name, { socket: agent.socket }) }
}

test('clients with the same key share it, and one that did not change keeps its key and its token', async () => {
  fixtures.configure({
    clients: { [name]: fixtures.client, twin: { ...fixtures.client, scopes: ['read'] } },
  })
  const { agent, log, tokens } = await start()
  expect(log).toEqual(['open key.pem'])
  const { access_token } = await tokens.token()
  const { uri } = await writeKey(join(fixtures.folder, 'new.pem'))
  fixtures.configure({
    clients: { [name]: fixtures.client, added: { ...fixtures.client, key: uri } },
  })
  await agent.reload()
  expect(log).toEqual(['open key.pem', 'open new.pem'])
  expect((await tokens.token()).access_token).toBe(access_token)
  expect((await ask(agent.socket, '/clients/twin/token', {})).status).toBe(404)
  fixtures.configure({ clients: { [name]: fixtures.client } })
  await agent.reload()
  expect(log.slice(2)).toEqual(['close new.pem'])
  await agent.close()
  expect(log.slice(3)).toEqual(['close key.pem'])
})

test('a call under way ends with the key that it began with, which is closed afterwards', async () => {
  fixtures.configure({ clients: { [name]: fixtures.client } })
  let finish = () => {}
  const finished = new Promise<void>((resolve) => {
    finish = resolve
  })
  const { agent, log, tokens } = await start(() => finished)
  const assertion = tokens.assertion()
  const { uri } = await writeKey(join(fixtures.folder, 'replacement.pem'))
  await expect.poll(async () => (await ask(agent.socket, '/metrics')).status).toBe(200)
  fixtures.configure({ clients: { [name]: { ...fixtures.client, key: uri } } })
  await agent.reload()
  expect(log).toEqual(['open key.pem', 'open replacement.pem'])
  finish()
  await assertion
  await expect.poll(() => log).toEqual(['open key.pem', 'open replacement.pem', 'close key.pem'])
})

test('a file whose key cannot be opened changes nothing', async () => {
  fixtures.configure({ clients: { [name]: fixtures.client } })
  const { agent, log, tokens } = await start()
  const { uri } = await writeKey(join(fixtures.folder, 'fine.pem'))
  const missing = uri.replace('fine', 'missing')
  fixtures.configure({
    clients: {
      [name]: { ...fixtures.client, lifetimeSeconds: 30 },
      fine: { ...fixtures.client, key: uri },
      broken: { ...fixtures.client, key: missing },
    },
  })
  await agent.reload()
  expect(agent.clients).toEqual([name])
  expect((await tokens.assertion()).expires_in).toBe(60)
  expect(log).toEqual(['open key.pem', 'open fine.pem', 'close fine.pem'])
  const { json } = await ask(agent.socket, '/healthz')
  expect(json).toMatchObject({
    status: 'degraded',
    configuration: { error: expect.stringMatching(/client "broken" cannot be opened/) },
  })
})

test('a change of the file is found without a signal', async () => {
  fixtures.configure({ clients: { [name]: fixtures.client } })
  const { agent } = await start()
  fixtures.configure({ clients: { [name]: fixtures.client, noticed: fixtures.client } })
  await expect.poll(() => agent.clients, { timeout: 10_000 }).toEqual([name, 'noticed'])
})
