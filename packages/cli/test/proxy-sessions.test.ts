import { expect, test } from 'vitest'
import { isOutdated, LocalSessions, rememberAsked } from '../src/proxy/http-sessions.ts'
import { readEnvelope } from '../src/proxy/message.ts'
import { passThrough } from '../src/proxy/pass-through.ts'
import { openSession, type Session } from '../src/proxy/session.ts'

/** A session of this generation, which notes that it was ended. */
function sessionOf(generation: number, ended: () => void = () => {}): Session {
  const { signal } = new AbortController()
  const upstream = { send: async () => new Response() }
  const session = openSession({ upstream, signal, notice: () => {} })
  return { ...session, generation, end: async () => ended() }
}

test('the answer of a host to a request of a forgotten session is outdated', () => {
  const sessions = new LocalSessions()
  const old = sessions.get(sessions.add(sessionOf(1), new Map()))
  if (old === undefined) throw new Error('it was added')
  rememberAsked(old, 7, 1)
  const answer = readEnvelope('{"jsonrpc":"2.0","id":7,"result":{}}')
  expect(isOutdated(answer, old)).toBe(false)
  const recovered = { ...old, session: sessionOf(2) }
  expect(isOutdated(answer, recovered)).toBe(true)
  expect(isOutdated(readEnvelope('{"jsonrpc":"2.0","id":"7","result":{}}'), recovered)).toBe(false)
})

test('of too many sessions, the one that was used longest ago is ended', () => {
  const sessions = new LocalSessions()
  const ended: number[] = []
  const ids = Array.from({ length: 1000 }, (_, n) =>
    sessions.add(
      sessionOf(n, () => ended.push(n)),
      new Map(),
    ),
  )
  expect(sessions.get(ids[0] ?? '')).toBeDefined()
  sessions.add(sessionOf(1000), new Map())
  expect(ended).toEqual([1])
})

test('a filtered stream keeps the delay of its reconnection, and tells the requests of the server', async () => {
  const body = 'retry: 1500\nid: 1\ndata: {"jsonrpc":"2.0","id":3,"method":"roots/list"}\n\n'
  const response = new Response(body, { headers: { 'content-type': 'text/event-stream' } })
  const asked: unknown[] = []
  const parts = passThrough(response, {
    envelope: undefined,
    onRequest: (id) => asked.push(id),
    change: (text) => text,
    whenBroken: () => [],
  })
  let text = ''
  for await (const part of parts) text += part
  expect(text).toBe(`${body}`)
  expect(asked).toEqual([3])
})
